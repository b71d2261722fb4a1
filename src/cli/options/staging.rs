//! Settings of `staging`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::LimitOptions;
use crate::callbacks::Allowed;
use crate::staging::Name;

#[derive(Args, Debug)]
pub struct WorldOptions {
    /// Address and port to serve on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8010", value_name = "ADDRESS:PORT")]
    pub bind: SocketAddr,

    /// Keep the world when the process ends, and go on with it when one of this name is started again
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,

    /// Make the world of this name again; the older one is dropped once the new one is complete
    #[arg(long, requires = "name")]
    pub anew: bool,

    /// What the world begins with, in JSON: its clock, prices, stock, accounts with their numbers, faults
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,

    /// Where the URLs of numbers may lead; repeat it for more: public, loopback, private, a network such as 10.1.0.0/16, or
    /// a host and port such as app:3000 [default: public; also loopback, where --bind is a loopback address]
    #[arg(long, value_name = "WHERE")]
    pub callbacks: Vec<Allowed>,

    /// Certificates in PEM to trust, beside those of the system, where the URLs of numbers lead
    #[arg(long, value_name = "FILE")]
    pub callback_ca: Option<PathBuf>,

    /// Let the private PostgreSQL keep worlds through a power failure, which makes it slower
    #[arg(long)]
    pub durable: bool,

    #[command(flatten)]
    pub limits: LimitOptions,
}
