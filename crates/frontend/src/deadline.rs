//! How long a caller waits.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// For callers that name no time.
const DEFAULT: Duration = Duration::from_secs(2);
/// Longer ones are cut: nothing is held for longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How much sooner than the caller's own time-out the answer leaves, at most, so
/// that it is our error that the caller sees and not a bare time-out.
const MARGIN: Duration = Duration::from_millis(25);

/// When a request that comes now must be answered, by its `grpc-timeout`.
pub(crate) fn deadline(metadata: &MetadataMap) -> Instant {
    let named = metadata
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok());
    let time = match named.and_then(parse) {
        Some(named) => (named - MARGIN.min(named / 8)).min(LONGEST),
        None => DEFAULT,
    };
    Instant::now() + time
}

/// "TimeoutValue is a positive integer as ASCII string of at most 8 digits", then
/// its unit (gRPC over HTTP/2).
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_named_time_is_honoured() {
        let check = |named: Option<&str>, expected: Duration| {
            let mut metadata = MetadataMap::new();
            if let Some(named) = named {
                metadata.insert("grpc-timeout", named.parse().unwrap());
            }
            assert_eq!(deadline(&metadata) - Instant::now(), expected, "{named:?}");
        };
        check(None, DEFAULT);
        check(Some("1S"), Duration::from_millis(975));
        check(Some("500m"), Duration::from_millis(475));
        check(Some("80000u"), Duration::from_millis(70));
        check(Some("8n"), Duration::from_nanos(7));
        check(Some("0m"), Duration::ZERO);
        check(Some("1M"), Duration::from_millis(59_975));
        check(Some("99999999H"), LONGEST);
        for malformed in ["", "S", "5", "5s", "-5S", "+5S", "1.5S", "123456789m", "5é"] {
            if let Ok(value) = malformed.parse() {
                let mut metadata = MetadataMap::new();
                metadata.insert("grpc-timeout", value);
                assert_eq!(
                    deadline(&metadata) - Instant::now(),
                    DEFAULT,
                    "{malformed:?}"
                );
            }
            assert_eq!(parse(malformed), None, "{malformed:?}");
        }
    }
}
