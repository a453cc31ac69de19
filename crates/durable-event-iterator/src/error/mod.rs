//! The error type, for callers and for clients.

mod js_error;
mod publish_error;

pub(crate) use self::{js_error::JsError, publish_error::PublishError};

use std::{any::Any, borrow::Cow, fmt};

use serde::Serialize;

use durable_event_log::{AppendError, DatabaseError};
pub(crate) use durable_event_wire::Code;
use durable_event_wire::{DeserializeError, ErrorBody, InvalidInput, Value, to_value};

/// The error message for a request body that cannot be read. The text is oRPC's.
pub const MALFORMED_REQUEST: &str = "Malformed request. Ensure the request body is properly formatted and the 'Content-Type' header is set correctly.";

/// The public message of an error that is not an oRPC error. The text is oRPC's.
const INTERNAL_MESSAGE: &str = "Internal server error";
const INVALID_INPUT_MESSAGE: &str = "Input validation failed";
/// The value of `Retry-After` for a failure that the Workers runtime reports as temporary, in seconds.
pub(crate) const TRANSIENT_RETRY_AFTER: u32 = 2;
/// The statuses that oRPC's clients accept for an error.
const ERROR_STATUS: std::ops::RangeInclusive<u16> = 400..=599;

/// An error of a procedure, an RPC method or a publish.
///
/// Clients receive an error of [`Error::new`], [`Error::custom`] or [`Error::invalid_input`] unchanged. `?` converts any other
/// error to INTERNAL_SERVER_ERROR: its text is written to the log and never sent to a client. This includes an
/// [`InvalidInput`], which may be about stored data. Errors of publishing keep their codes.
///
/// This type does not implement [`std::error::Error`], so that `?` can convert every error to it. It converts to
/// `Box<dyn std::error::Error>`, and [`source`](Self::source) returns its cause. It is neither `Send` nor `Sync`, because errors
/// of the Workers runtime contain JavaScript values.
///
/// ```
/// use durable_event_iterator::{Code, Error, Result};
///
/// fn withdraw(balance: u32, amount: &str) -> Result<u32> {
///     let amount: u32 = amount.parse()?; // INTERNAL_SERVER_ERROR if it is not a number
///     balance.checked_sub(amount).ok_or_else(|| Error::new(Code::Conflict).message("Not enough money"))
/// }
///
/// let error = withdraw(1, "2").unwrap_err();
/// assert_eq!((error.code(), error.status(), error.public_message()), ("CONFLICT", 409, "Not enough money"));
/// assert_eq!(withdraw(1, "x").unwrap_err().public_message(), "Internal server error");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    code: Cow<'static, str>,
    status: u16,
    message: Option<Cow<'static, str>>,
    data: Option<Value>,
    defined: bool,
    source: Option<Box<dyn std::error::Error>>,
}

/// The result of this crate's functions and of an application's procedures and RPC methods.
///
/// A closure that only returns `Err` must state the type of its output: `Err::<(), _>(Error::new(Code::Forbidden))`.
///
/// ```
/// async fn ping() -> durable_event_iterator::Result<&'static str> {
///     Ok("pong")
/// }
/// # drop(ping());
/// ```
///
/// The compiler's message otherwise is "type annotations needed":
///
/// ```compile_fail,E0283
/// use durable_event_iterator::{Code, Error, Procedures};
///
/// # struct Chat;
/// let _: Procedures<Chat, ()> = Procedures::new().procedure("closed", async |_: &Chat, _, ()| Err(Error::new(Code::Forbidden)));
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns an error with one of oRPC's common codes, with the code's status and message.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert_eq!(Error::new(Code::NotFound).public_message(), "Not Found");
    /// ```
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self::of(Cow::Borrowed(code.as_str()), code.status())
    }

    /// Returns an error with a custom code and an HTTP status of 400–599.
    ///
    /// Its message is the code, unless [`message`](Self::message) sets another. A status outside 400–599 becomes 500, because
    /// clients would not treat the response as an error.
    ///
    /// ```
    /// use durable_event_iterator::Error;
    /// let error = Error::custom("RATE_LIMITED", 429).message("slow down").data(serde_json::json!({ "retryAfter": 60 }));
    /// assert_eq!(error.status(), 429);
    /// ```
    #[must_use]
    pub fn custom(code: impl Into<Cow<'static, str>>, status: u16) -> Self {
        let status = if ERROR_STATUS.contains(&status) { status } else { Code::InternalServerError.status() };
        Self::of(code.into(), status)
    }

    /// Returns the error for an invalid input: BAD_REQUEST, "Input validation failed", with the issues as `data.issues`.
    ///
    /// Procedures respond with this error automatically if the input is not of their type. Use it for additional checks.
    ///
    /// ```
    /// use durable_event_iterator::{Error, Issue, Result};
    ///
    /// fn book(seats: u32) -> Result<()> {
    ///     if seats > 9 {
    ///         return Err(Error::invalid_input(Issue::new("expected at most 9 seats").at("seats")));
    ///     }
    ///     Ok(())
    /// }
    /// let error = book(10).unwrap_err();
    /// assert_eq!((error.code(), error.public_message()), ("BAD_REQUEST", "Input validation failed"));
    /// ```
    ///
    /// It also accepts an [`InvalidInput`] of [`from_value`](crate::from_value) or a validator:
    /// `from_value(part).map_err(Error::invalid_input)?`. Use it only for data that a client has sent, not for stored data.
    #[must_use]
    pub fn invalid_input(invalid: impl Into<InvalidInput>) -> Self {
        let invalid = invalid.into();
        let mut error = Self::new(Code::BadRequest).message(INVALID_INPUT_MESSAGE).data(&invalid);
        error.0.source = Some(Box::new(invalid));
        error
    }

    /// Returns the error for a malformed request body.
    pub(crate) fn malformed_request() -> Self {
        Self::new(Code::BadRequest).message(MALFORMED_REQUEST)
    }

    /// Returns the error for a request body that cannot be read, with the reason as its source.
    pub(crate) fn malformed(reason: DeserializeError) -> Self {
        let mut error = Self::malformed_request();
        error.0.source = Some(Box::new(reason));
        error
    }

    /// Returns the error of a call whose token has expired.
    pub(crate) fn token_expired() -> Self {
        Self::new(Code::Unauthorized).message("Token expired")
    }

    /// Sets the message, which clients receive.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert_eq!(Error::new(Code::Forbidden).message("Not yours").public_message(), "Not yours");
    /// ```
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(Cow::Owned(message.into()));
        self
    }

    /// Sets the data, which clients receive: any value that serde serializes. Data that cannot be serialized is omitted.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Date, Error};
    /// let error = Error::new(Code::Conflict).data(Date::from_millis(0));
    /// # drop(error);
    /// ```
    #[must_use]
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.0.data = to_value(&data).ok();
        self
    }

    /// Marks the error as declared in the procedure's contract: oRPC's `isDefinedError` returns true for it.
    ///
    /// ```
    /// use durable_event_iterator::Error;
    /// let error = Error::custom("OUT_OF_STOCK", 409).defined();
    /// # drop(error);
    /// ```
    #[must_use]
    pub fn defined(mut self) -> Self {
        self.0.defined = true;
        self
    }

    /// Returns the code, such as `BAD_REQUEST`.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert_eq!(Error::new(Code::BadRequest).code(), "BAD_REQUEST");
    /// ```
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Returns the HTTP status, 400–599.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert_eq!(Error::new(Code::BadRequest).status(), 400);
    /// ```
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns the message, which clients receive.
    ///
    /// ```
    /// use durable_event_iterator::Error;
    /// let error = Error::from(std::io::Error::other("password in clear text"));
    /// assert_eq!(error.public_message(), "Internal server error");
    /// ```
    #[must_use]
    pub fn public_message(&self) -> &str {
        match &self.0.message {
            Some(message) => message,
            None => Code::from_name(&self.0.code).map_or(self.0.code.as_ref(), |code| code.message()),
        }
    }

    /// Returns the cause of this error. It is written to the log and never sent to a client.
    ///
    /// ```
    /// use durable_event_iterator::Error;
    /// let error = Error::from("x".parse::<u32>().unwrap_err());
    /// assert!(error.source().is_some_and(|source| source.is::<std::num::ParseIntError>()));
    /// ```
    #[must_use]
    pub fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref()
    }

    /// Whether an event was rejected because it exceeds the size of a row in the Durable Object's storage. Publish a smaller
    /// event, or a reference to the data.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert!(!Error::new(Code::PayloadTooLarge).is_event_too_large());
    /// ```
    #[must_use]
    pub fn is_event_too_large(&self) -> bool {
        self.failure() == Some(Failure::EventTooLarge)
    }

    /// Whether an event was rejected because it is neither an object nor an array.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert!(!Error::new(Code::BadRequest).is_event_not_an_object());
    /// ```
    #[must_use]
    pub fn is_event_not_an_object(&self) -> bool {
        self.failure() == Some(Failure::EventNotAnObject)
    }

    /// Whether an event was rejected because it cannot be serialized.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert!(!Error::new(Code::BadRequest).is_not_serializable());
    /// ```
    #[must_use]
    pub fn is_not_serializable(&self) -> bool {
        self.failure() == Some(Failure::NotSerializable)
    }

    /// Whether an event was rejected because its idempotency key is not 1–255 visible ASCII characters.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert!(!Error::new(Code::BadRequest).is_invalid_key());
    /// ```
    #[must_use]
    pub fn is_invalid_key(&self) -> bool {
        self.failure() == Some(Failure::InvalidKey)
    }

    /// Whether an event was rejected because its [meta](crate::EventMeta) is invalid: its retry delay exceeds 2,147,483,647
    /// milliseconds.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert!(!Error::new(Code::BadRequest).is_invalid_meta());
    /// ```
    #[must_use]
    pub fn is_invalid_meta(&self) -> bool {
        self.failure() == Some(Failure::InvalidMeta)
    }

    /// Whether the storage failed, or rejected SQL of the application ([`Sql::exec`](crate::Sql::exec)).
    ///
    /// If it is the error of a publish, nothing was stored, and a later attempt may succeed.
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error};
    /// assert!(!Error::new(Code::InternalServerError).is_storage_failure());
    /// ```
    #[must_use]
    pub fn is_storage_failure(&self) -> bool {
        self.failure() == Some(Failure::Storage)
    }

    /// Returns the error as clients receive it.
    pub(crate) fn body(&self) -> ErrorBody<'_> {
        let Inner { code, status, defined, data, .. } = &*self.0;
        ErrorBody {
            defined: *defined,
            code,
            status: *status,
            message: self.public_message(),
            data: data.as_ref(),
        }
    }

    fn of(code: Cow<'static, str>, status: u16) -> Self {
        Self(Box::new(Inner { code, status, message: None, data: None, defined: false, source: None }))
    }

    /// Returns the kind of failed publish, in this Durable Object or in that of a stub.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let source = self.0.source.as_deref()?;
        if let Some(RemoteFailure(failure)) = source.downcast_ref() {
            return Some(*failure);
        }
        if source.is::<DatabaseError>() {
            return Some(Failure::Storage);
        }
        if let Some(error) = source.downcast_ref::<AppendError>() {
            return Some(match error {
                AppendError::TooLarge { .. } => Failure::EventTooLarge,
                AppendError::InvalidKey => Failure::InvalidKey,
                _ => Failure::Storage,
            });
        }
        source.downcast_ref().map(|error: &PublishError| match error {
            PublishError::TooLargeToRead { .. } => Failure::EventTooLarge,
            PublishError::NotAnObject => Failure::EventNotAnObject,
            PublishError::NotSerializable(_) => Failure::NotSerializable,
            PublishError::InvalidMeta(_) => Failure::InvalidMeta,
        })
    }

    /// Returns an error that a stub has received from its Durable Object.
    pub(crate) fn remote(
        code: String,
        status: u16,
        message: String,
        data: Option<Value>,
        failure: Option<Failure>,
    ) -> Self {
        let mut error = Self::custom(code, status).message(message);
        error.0.data = data;
        error.0.source = failure.map(|failure| Box::new(RemoteFailure(failure)) as _);
        error
    }

    /// Adds the index of the event of a batch that was rejected to the message. An internal error has no message of its own.
    pub(crate) fn at_event(self, index: usize) -> Self {
        if self.status() >= Code::InternalServerError.status() {
            return self;
        }
        let message = format!("events[{index}]: {}", self.public_message());
        self.message(message)
    }

    /// Returns the error with the code SERVICE_UNAVAILABLE: a retry may succeed.
    pub(crate) fn into_temporary(mut self) -> Self {
        let Inner { code, status, message, .. } = &mut *self.0;
        *code = Cow::Borrowed(Code::ServiceUnavailable.as_str());
        (*status, *message) = (Code::ServiceUnavailable.status(), None);
        self
    }

    /// Returns the delay before a retry in seconds, for a failure that the Workers runtime reports as temporary, and for one of
    /// [`into_temporary`](Self::into_temporary).
    pub(crate) fn retry_after(&self) -> Option<u32> {
        let is_transient = self.0.source.as_deref()?.downcast_ref().is_some_and(JsError::is_transient)
            || (self.is_storage_failure() && self.status() == Code::ServiceUnavailable.status());
        is_transient.then_some(TRANSIENT_RETRY_AFTER)
    }

    /// Returns the data, which clients receive.
    #[must_use]
    pub fn public_data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }
}

/// The kinds of failed publishes. A Durable Object sends the name of the kind to its stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    EventTooLarge,
    EventNotAnObject,
    NotSerializable,
    InvalidMeta,
    InvalidKey,
    Storage,
}

impl Failure {
    const ALL: [Self; 6] = [
        Self::EventTooLarge,
        Self::EventNotAnObject,
        Self::NotSerializable,
        Self::InvalidMeta,
        Self::InvalidKey,
        Self::Storage,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EventTooLarge => "EventTooLarge",
            Self::EventNotAnObject => "EventNotAnObject",
            Self::NotSerializable => "NotSerializable",
            Self::InvalidMeta => "InvalidMeta",
            Self::InvalidKey => "InvalidKey",
            Self::Storage => "StorageFailure",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.name() == name)
    }
}

/// A failed publish in the Durable Object of a stub.
#[derive(Debug)]
struct RemoteFailure(Failure);

impl fmt::Display for RemoteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in another Durable Object", self.0.name())
    }
}

impl std::error::Error for RemoteFailure {}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let mut public = public_part(&error);
        public.0.source = Some(Box::new(error));
        public
    }
}

/// ```
/// use durable_event_iterator::{Code, Error};
///
/// fn check() -> Result<(), Box<dyn std::error::Error>> {
///     Err(Error::new(Code::NotFound))?
/// }
/// assert_eq!(check().unwrap_err().to_string(), "NOT_FOUND: Not Found");
/// ```
impl From<Error> for Box<dyn std::error::Error> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

/// An [`Error`] as a [`std::error::Error`]. Its text includes its causes.
#[derive(Debug)]
struct Boxed(Error);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Boxed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Returns the error that clients receive for a Rust error.
fn public_part(error: &dyn Any) -> Error {
    if let Some(error) = error.downcast_ref::<PublishError>() {
        match error {
            PublishError::TooLargeToRead { .. } => {
                Error::new(Code::PayloadTooLarge).message(error.to_string())
            }
            PublishError::NotAnObject | PublishError::NotSerializable(_) | PublishError::InvalidMeta(_) => {
                Error::new(Code::BadRequest).message(error.to_string())
            }
        }
    } else if let Some(error) = error.downcast_ref::<AppendError>() {
        match error {
            AppendError::TooLarge { .. } => Error::new(Code::PayloadTooLarge).message(error.to_string()),
            AppendError::InvalidKey => Error::new(Code::BadRequest).message(error.to_string()),
            _ => internal(),
        }
    } else if error.downcast_ref().is_some_and(JsError::is_transient) {
        Error::new(Code::ServiceUnavailable)
    } else {
        internal()
    }
}

fn internal() -> Error {
    let mut error = Error::new(Code::InternalServerError);
    error.0.message = Some(Cow::Borrowed(INTERNAL_MESSAGE));
    error
}

/// Serializes the error as clients receive it: `{"defined","code","status","message","data"}`.
impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body().serialize(serializer)
    }
}

/// Writes the code, the message and all causes, for logs. Clients never receive the causes.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.public_message())?;
        let mut source = self.0.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// Writes the same text as [`Display`](fmt::Display), so that `unwrap` in a test shows the causes.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use durable_event_wire::{BigInt, Date, Issue, RegExp, Url, from_value, parse};

    fn json(error: &Error) -> String {
        error.body().to_wire().json.unwrap()
    }

    #[test]
    fn an_error_has_the_status_and_message_of_its_code() {
        for code in Code::ALL {
            let error = Error::new(code);
            assert_eq!(error.code(), code.as_str());
            assert_eq!(error.status(), code.status());
            assert_eq!(error.public_message(), code.message());
        }
    }

    #[test]
    fn an_error_is_serialized_as_recorded() {
        assert_eq!(
            json(&Error::new(Code::Forbidden).message("Method \"publishMessage\" is not allowed.")),
            r#"{"defined":false,"code":"FORBIDDEN","status":403,"message":"Method \"publishMessage\" is not allowed."}"#
        );
    }

    #[test]
    fn data_preserves_types() {
        #[derive(Serialize)]
        struct Data {
            a: u8,
            when: Date,
            n: BigInt,
        }
        let data = Data { a: 1, when: Date::from_millis(1_577_836_800_000), n: BigInt::from(1_u8) };
        let wire = Error::new(Code::Conflict).message("already there").data(data);
        let wire = wire.body().to_wire();
        assert_eq!(
            wire.json.unwrap(),
            r#"{"defined":false,"code":"CONFLICT","status":409,"message":"already there","data":{"a":1,"when":"2020-01-01T00:00:00.000Z","n":"1"}}"#
        );
        assert_eq!(wire.meta.unwrap(), r#"[[1,"data","when"],[0,"data","n"]]"#);
    }

    #[test]
    fn undefined_data_is_omitted() {
        assert!(!json(&Error::new(Code::Conflict).data(Value::Undefined)).contains("data"));
    }

    #[test]
    fn a_custom_code_is_the_default_message() {
        let error = Error::custom("MY_CODE", 418).defined();
        assert_eq!(json(&error), r#"{"defined":true,"code":"MY_CODE","status":418,"message":"MY_CODE"}"#);
    }

    #[test]
    fn a_status_outside_400_to_599_becomes_500() {
        for status in [0, 200, 304, 399, 600, u16::MAX] {
            assert_eq!(Error::custom("X", status).status(), 500);
        }
    }

    #[test]
    fn clients_do_not_receive_the_text_of_other_errors() {
        let error = Error::from(std::io::Error::other("secret"));
        assert_eq!(
            json(&error),
            r#"{"defined":false,"code":"INTERNAL_SERVER_ERROR","status":500,"message":"Internal server error"}"#
        );
        assert!(error.to_string().contains("secret"), "the log contains the text");
    }

    #[test]
    fn a_publish_error_keeps_its_kind() {
        let large = Error::from(AppendError::TooLarge { bytes: 3_000_000, limit: 2_000_000 });
        assert!(large.is_event_too_large() && large.status() == 413);
        assert!(large.public_message().contains("3000000") && large.public_message().contains("2000000"));
        let root = Error::from(PublishError::NotAnObject);
        assert!(root.is_event_not_an_object() && root.status() == 400);
        let unserializable = Error::from(PublishError::NotSerializable("too deep".into()));
        assert!(unserializable.is_not_serializable() && unserializable.public_message().contains("too deep"));
        let storage = Error::from(AppendError::Storage(DatabaseError::new("disk full")));
        assert!(storage.is_storage_failure() && storage.status() == 500);
        assert_eq!(storage.public_message(), "Internal server error");
        assert_eq!(storage.retry_after(), None);
        let storage = storage.into_temporary();
        assert!(storage.is_storage_failure() && storage.retry_after() == Some(TRANSIENT_RETRY_AFTER));
        assert_eq!((storage.status(), storage.public_message()), (503, "Service Unavailable"));
        assert!(storage.to_string().contains("disk full"), "{storage}");
    }

    #[test]
    fn an_invalid_input_error_contains_the_issues() {
        let invalid = from_value::<Vec<u8>>(parse(Some("[1,\"x\"]"), None).unwrap()).unwrap_err();
        let error = Error::invalid_input(invalid);
        assert_eq!((error.code(), error.public_message()), ("BAD_REQUEST", "Input validation failed"));
        assert!(json(&error).contains(r#""data":{"issues":[{"message":"#), "{}", json(&error));
        assert!(json(&error).contains(r#""path":[1]"#), "{}", json(&error));
        let issues = vec![Issue::new("a").at("x"), Issue::new("b")];
        assert!(
            json(&Error::invalid_input(issues))
                .contains(r#"[{"message":"a","path":["x"]},{"message":"b","path":[]}]"#)
        );
    }

    #[test]
    fn an_unreadable_body_is_a_malformed_request() {
        let error = Error::malformed(parse(Some("{"), None).unwrap_err());
        assert!(error.public_message().starts_with("Malformed request."));
        assert_eq!(error.status(), 400);
    }

    /// Such an error may be about stored data.
    #[test]
    fn clients_do_not_receive_errors_of_reading_a_value() {
        let stored = || parse(Some(r#"{"seats":"stored"}"#), None).unwrap();
        let errors: Vec<Error> = vec![
            from_value::<Vec<u8>>(stored()).unwrap_err().into(),
            InvalidInput::from(Issue::new("stored")).into(),
            parse(Some("stored"), None).unwrap_err().into(),
            Value::from_json(b"stored").unwrap_err().into(),
            Value::from_json(b"\xff").unwrap_err().into(),
            Value::from_serialized(b"stored").unwrap_err().into(),
            "stored".parse::<Date>().unwrap_err().into(),
            "stored".parse::<BigInt>().unwrap_err().into(),
            "stored".parse::<Url>().unwrap_err().into(),
            RegExp::new("stored", "stored").unwrap_err().into(),
            serde_json::from_str::<u8>("\"stored\"").unwrap_err().into(),
        ];
        for error in errors {
            assert_eq!(
                json(&error),
                r#"{"defined":false,"code":"INTERNAL_SERVER_ERROR","status":500,"message":"Internal server error"}"#,
                "{error}"
            );
        }
    }
}
