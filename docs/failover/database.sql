-- Once, as postgres.
create role numberbank_reporting;
create role numberbank login password 'change-me-4' in role numberbank_reporting;
create database numberbank owner numberbank;
