//! What callers are told, and what they may send.

use backfence_process::{Address, Entry, Name, Secret};
use tonic::Status;

use crate::MAX_ENTRIES;

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

pub(crate) fn crowded(watchers: usize) -> Status {
    Status::resource_exhausted(format!("the registry has {watchers} watchers already"))
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
