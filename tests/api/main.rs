//! The service from outside: real HTTP, real PostgreSQL, a database for each test.

mod support;

mod accounts;
mod golden;
mod lists;
mod numbers;
mod paths;
mod properties;
mod requests;
mod tenancy;
