//! numberbank: a self-hosted, multi-tenant phone number registry on PostgreSQL that speaks Twilio's
//! IncomingPhoneNumbers API, 2008-08-01 and 2010-04-01. ARCHITECTURE.md explains the layout.

pub mod accounts;
pub mod api;
pub mod app;
pub mod audit;
pub mod billing;
pub mod callbacks;
pub mod cli;
pub mod config;
pub mod db;
pub mod error;
pub mod inventory;
pub mod jobs;
pub mod ledger;
pub mod monitoring;
pub mod numbers;
pub mod operators;
pub mod platform;
pub mod purchases;
pub mod releases;
pub mod reporting;
pub mod staging;
pub mod twiml;
pub mod values;
pub mod web;
