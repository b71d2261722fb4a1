//! The command line: the shipped program with its private PostgreSQL.

mod backup;
mod clocks;
mod commands;
mod cut;
mod databases;
mod dialect;
mod drill;
mod failover;
mod home;
mod import;
mod lost;
mod manual;
mod monitoring;
mod neighbours;
mod numbers;
mod operators;
mod poolers;
mod processes;
mod readers;
mod replica;
mod reports;
mod runs;
mod secrets;
mod switch;
mod terminals;
mod tls;
