//! Tests of the service over real HTTP, on real PostgreSQL, with a database for each test.

mod support;

mod accounts;
mod audit;
mod authentication;
mod batches;
mod billing;
mod clocks;
mod connections;
mod constraints;
mod golden;
mod guesses;
mod hostile;
mod idempotency;
mod inventory;
mod ledger;
mod life;
mod limits;
mod lists;
mod meetings;
mod neighbours;
mod numbers;
mod old_clients;
mod outage;
mod paths;
mod pools;
mod properties;
mod races;
mod reporting;
mod request_ids;
mod requests;
mod shares;
mod stock;
mod tenancy;
mod tokens;
mod walks;
