//! The requests of servers with an access key: publishing, numbers, presence, disconnecting.

use super::parameters::{Query, integer, invalid, unknown};
use crate::{
    channel::{PublishOptions, rpc_options::RpcOptions},
    error::{Code, Error, Result},
};
use durable_event_token::Right;
use durable_event_wire::{Object, Value};

/// The number of buckets of a timeline.
const TIMELINE: std::ops::RangeInclusive<u32> = 1..=240;

/// The number of connections of a page.
const CONNECTIONS: std::ops::RangeInclusive<u32> = 1..=1_000;

/// What a request with an access key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Publish,
    Batch,
    Stats,
    Connections,
    Presence,
    Disconnect,
    Revoke,
}

impl Operation {
    /// Returns the operation of the last segment of a path; `None` is the path of the channel itself. Events are published with POST,
    /// and read with other methods.
    pub(super) fn of(segment: Option<&str>, method: &str) -> Option<Self> {
        match segment {
            Some("events") if method == "POST" => Some(Self::Publish),
            Some("batch") => Some(Self::Batch),
            None | Some("stats") => Some(Self::Stats),
            Some("connections") => Some(Self::Connections),
            Some("presence") => Some(Self::Presence),
            Some("disconnect") => Some(Self::Disconnect),
            Some("revoke") => Some(Self::Revoke),
            Some(_) => None,
        }
    }

    /// Returns the right that the key must have.
    pub(super) const fn right(self) -> Right {
        match self {
            Self::Publish | Self::Batch => Right::Publish,
            Self::Stats | Self::Connections => Right::Stats,
            Self::Presence => Right::Read,
            Self::Disconnect | Self::Revoke => Right::Disconnect,
        }
    }

    /// Returns the method of the request.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Publish | Self::Batch | Self::Disconnect | Self::Revoke => "POST",
            Self::Stats | Self::Connections | Self::Presence => "GET",
        }
    }

    /// Returns the description for the log.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Publish => "publishing",
            Self::Batch => "publishing a batch",
            Self::Stats => "reading the numbers of a channel",
            Self::Connections => "reading the connections of a channel",
            Self::Presence => "reading the members of a channel",
            Self::Disconnect => "disconnecting clients",
            Self::Revoke => "revoking tokens",
        }
    }

    /// Returns the argument of the RPC method that the query contains, for an operation without a body.
    ///
    /// # Errors
    /// BAD_REQUEST for an unknown or invalid parameter.
    pub(super) fn argument(self, query: &Query) -> Result<Object> {
        query.check_single(|_| true)?;
        let mut argument = Object::new();
        for (name, value) in query.all() {
            match (self, name) {
                (_, "channel") => {}
                (Self::Stats, "timeline") => {
                    argument.insert(name, Value::from(f64::from(integer("timeline", value, &TIMELINE)?)));
                }
                (Self::Connections, "limit") => {
                    argument.insert(name, Value::from(f64::from(integer("limit", value, &CONNECTIONS)?)));
                }
                (Self::Connections, "after") if value.is_empty() => {
                    return Err(invalid("after", "expected the value of `next` of the page before"));
                }
                (Self::Connections, "after") => {
                    argument.insert(name, Value::from(value));
                }
                (Self::Stats, other) => return Err(unknown(other, "channel, timeline")),
                (Self::Connections, other) => return Err(unknown(other, "after, channel, limit")),
                (_, other) => return Err(unknown(other, "channel")),
            }
        }
        Ok(argument)
    }
}

/// Reads the options of a publish from a query.
///
/// # Errors
/// BAD_REQUEST that names the parameter and the expected form.
pub(super) fn publish_options(query: &Query) -> Result<PublishOptions> {
    const NAMES: &str = "channel, comments, except, retry, tags, to";
    query.check_single(|name| matches!(name, "channel" | "retry"))?;
    let mut options = Object::new();
    for list in ["to", "tags", "except", "comments"] {
        let values: Vec<Value> =
            query.all().filter(|(name, _)| *name == list).map(|(_, value)| Value::from(value)).collect();
        if !values.is_empty() {
            options.insert(list, Value::Array(values));
        }
    }
    for (name, value) in query.all() {
        match name {
            "channel" | "to" | "tags" | "except" | "comments" => {}
            "retry" => {
                let retry = integer("retry", value, &(0..=durable_event_wire::MAX_RETRY_MS))?;
                options.insert(name, Value::from(f64::from(retry)));
            }
            other => return Err(unknown(other, NAMES)),
        }
    }
    let options = RpcOptions::read(options.into())
        .map_err(|error| Error::new(Code::BadRequest).message(format!("Invalid publish options: {error}")))?;
    Ok(options.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options(query: &str) -> Result<PublishOptions> {
        publish_options(&Query::of(query)?)
    }

    #[test]
    fn the_options_of_a_publish_are_read_from_the_query() {
        let query = "channel=a&to=anna&to=b%25&tags=x+y&except=c&comments=1&comments=&retry=2500";
        let PublishOptions { audience, retry, comments, idempotency_key } = options(query).unwrap();
        let (to, tags, except) = audience.rule.parts();
        assert_eq!(to.unwrap(), ["anna", "b%"]);
        assert_eq!(tags.unwrap(), ["x y"]);
        assert_eq!(except, ["c"]);
        assert_eq!(
            (retry, comments),
            (Some(Duration::from_millis(2_500)), vec!["1".to_owned(), String::new()])
        );
        assert_eq!(idempotency_key, None);
        assert!(options("").unwrap().audience.is_everyone());
    }

    #[test]
    fn an_invalid_option_never_means_everyone() {
        for (query, expected) in [
            ("to=", "expected a connection id of 1–128 visible ASCII characters"),
            ("to=a+b", "expected a connection id"),
            ("tags=", "expected a tag of 1–256 UTF-8 bytes"),
            ("except=%00", "expected a connection id"),
            (
                "tag=x",
                "Unknown query parameter \"tag\", expected channel, comments, except, retry, tags, to.",
            ),
            ("To=x", "Unknown query parameter"),
            ("serialized=true", "Unknown query parameter"),
            ("idempotencyKey=x", "Unknown query parameter"),
            ("retry=-1", "retry: expected an integer from 0 to 2147483647"),
            ("retry=2147483648", "retry"),
            ("retry=1&retry=1", "retry: expected at most one value"),
            ("to=%FF", "The query must be UTF-8"),
        ] {
            let error = options(query).err().unwrap();
            assert!(error.public_message().contains(expected), "{query}: {}", error.public_message());
        }
    }

    #[test]
    fn the_argument_of_an_operation_is_read_from_the_query() {
        let argument = |operation: Operation, query: &str| {
            let argument = operation.argument(&Query::of(query)?)?;
            Ok::<_, Error>(durable_event_wire::serialize(&Value::from(argument)).unwrap().json.unwrap())
        };
        let stats = |query: &str| argument(Operation::Stats, query);
        assert_eq!(stats("channel=a").unwrap(), "{}");
        assert_eq!(stats("timeline=240").unwrap(), r#"{"timeline":240}"#);
        let connections = |query: &str| argument(Operation::Connections, query);
        assert_eq!(connections("limit=1000&after=x").unwrap(), r#"{"limit":1000,"after":"x"}"#);
        for (operation, query) in [
            (Operation::Stats, "timeline=241"),
            (Operation::Stats, "timeline=0"),
            (Operation::Stats, "limit=1"),
            (Operation::Connections, "limit=1001"),
            (Operation::Connections, "after="),
            (Operation::Connections, "limit=1&limit=1"),
            (Operation::Presence, "limit=1"),
            (Operation::Revoke, "subject=anna"),
        ] {
            assert!(argument(operation, query).is_err(), "{operation:?} {query}");
        }
    }
}
