//! The service from outside: real HTTP, real PostgreSQL, a database for each test.

mod support;

mod accounts;
mod audit;
mod authentication;
mod golden;
mod idempotency;
mod inventory;
mod ledger;
mod lists;
mod numbers;
mod outage;
mod paths;
mod properties;
mod races;
mod requests;
mod tenancy;
