//! What callers are told, and what they may send.

use std::fmt;

use backfence_process::{Address, Entry, Name, Secret};
use tonic::Status;

use crate::{MAX_ENTRIES, places::Crowded};

pub(crate) fn name(text: String) -> Result<Name, Status> {
    Name::new(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The stem of numbered names. With a digit at its end, `A1` and 2 would be
/// `A` and 12.
pub(crate) fn prefix(text: String) -> Result<Name, Status> {
    let prefix = name(text)?;
    if prefix.as_str().ends_with(|c: char| c.is_ascii_digit()) {
        return Err(Status::invalid_argument(format!(
            "the prefix {prefix} must not end in a digit"
        )));
    }
    Ok(prefix)
}

/// As host:port, and one that can be dialled.
pub(crate) fn address(text: &str) -> Result<Address, Status> {
    match text.parse::<Address>() {
        Ok(address) if address.port() != 0 && !text.contains('/') => Ok(address),
        Ok(_) => Err(Status::invalid_argument(format!(
            "{text:?} is not host:port with a port from 1 on"
        ))),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

pub(crate) fn secret(bytes: &[u8]) -> Result<Option<Secret>, Status> {
    Secret::read(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

pub(crate) fn taken(holder: &Entry) -> Status {
    Status::already_exists(format!(
        "{} is held by a living process at {}",
        holder.name, holder.address
    ))
}

pub(crate) fn full() -> Status {
    Status::resource_exhausted(format!(
        "the registry has {MAX_ENTRIES} names already; wait until some are given up"
    ))
}

pub(crate) fn crowded(why: &Crowded) -> Status {
    Status::resource_exhausted(why.to_string())
}

pub(crate) fn hasty(registrations: usize) -> Status {
    Status::resource_exhausted(format!(
        "this connection has {registrations} registrations in work already; wait for one of them"
    ))
}

/// Most bytes of what an address answers.
pub(crate) const MAX_ANSWER: usize = 1024;

pub(crate) fn absent(address: &Address) -> Status {
    Status::unavailable(format!(
        "nobody answers at {address}; a program has to serve there before it registers"
    ))
}

pub(crate) fn busy(address: &Address, why: &str) -> Status {
    let why: String = why.chars().filter(|c| !c.is_control()).take(80).collect();
    Status::unavailable(format!(
        "the program at {address} does not say who it is: {why}"
    ))
}

pub(crate) fn elsewhere(address: &Address) -> Status {
    Status::already_exists(format!("another program answers at {address}"))
}

pub(crate) fn keyless(asked: impl fmt::Display) -> Status {
    Status::unauthenticated(format!(
        "the registry has a cluster key, and the program for {asked} does not show that it has it \
         too; start all programs of the cluster with the same --cluster-key FILE"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_must_be_diallable() {
        for good in ["127.0.0.1:1", "[::1]:80", "box:65535"] {
            assert_eq!(address(good).unwrap().to_string(), good);
        }
        for bad in ["", "box", "box:0", "http://box:1", "box:1/", "a b:1"] {
            assert_eq!(
                address(bad).unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_prefix_must_not_end_in_a_digit() {
        assert!(prefix("SERVER".to_owned()).is_ok());
        assert!(prefix("SERVER1".to_owned()).is_err());
        assert!(prefix(String::new()).is_err());
    }
}
