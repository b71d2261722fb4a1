//! Twilio's codes for what can go wrong with a request to a program.

use crate::callbacks::{Failure, Tls};

/// The account is suspended: nothing is requested.
pub const SUSPENDED: u32 = 10003;

/// Ours: a limit of simulations.
pub const LIMIT: u32 = 29011;

/// The code of a delivery that failed.
pub const fn of(failure: &Failure) -> u32 {
    match failure {
        Failure::BadUrl => 11100,
        Failure::Status(_) => 11200,
        Failure::ConnectTimedOut => 11201,
        Failure::Refused | Failure::Unreachable => 11202,
        Failure::TooSlow => 11203,
        Failure::Cut => 11205,
        Failure::Broken => 11206,
        Failure::NotFound | Failure::NotAllowed { .. } => 11210,
        Failure::TooManyRedirects => 11215,
        Failure::Tls(Tls::Other(_)) => 11220,
        Failure::Tls(Tls::Name) => 11235,
        Failure::Tls(Tls::Expired) => 11236,
        Failure::Tls(Tls::NoPath) => 11237,
        Failure::TooLarge => 11750,
    }
}
