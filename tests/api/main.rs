//! The service from outside: real HTTP, real PostgreSQL, a database for each test.

mod support;

mod accounts;
