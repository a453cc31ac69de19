//! The codes that oRPC knows by itself.

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $status:literal, $message:literal;)*) => {
        /// The codes that every oRPC client knows, each with its HTTP status and its default message.
        ///
        /// ```
        /// use durable_event_wire::Code;
        /// assert_eq!(Code::NotFound.as_str(), "NOT_FOUND");
        /// assert_eq!(Code::NotFound.status(), 404);
        /// assert_eq!(Code::NotFound.message(), "Not Found");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])* $variant,)* }

        impl Code {
            /// All codes.
            pub const ALL: [Self; [$($status),*].len()] = [$(Self::$variant),*];

            /// The code as it is on the wire.
            ///
            /// ```
            /// assert_eq!(durable_event_wire::Code::Timeout.as_str(), "TIMEOUT");
            /// ```
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status.
            ///
            /// ```
            /// assert_eq!(durable_event_wire::Code::Timeout.status(), 408);
            /// ```
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The message of an error that has none of its own.
            ///
            /// ```
            /// assert_eq!(durable_event_wire::Code::Timeout.message(), "Request Timeout");
            /// ```
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// The code of this name, if it is a common one.
            ///
            /// ```
            /// use durable_event_wire::Code;
            /// assert_eq!(Code::from_name("CONFLICT"), Some(Code::Conflict));
            /// assert_eq!(Code::from_name("MY_CODE"), None);
            /// ```
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    /// The input does not fit, or cannot be read.
    BadRequest = "BAD_REQUEST", 400, "Bad Request";
    /// Who asks is not known, or no longer.
    Unauthorized = "UNAUTHORIZED", 401, "Unauthorized";
    /// Who asks is known, and may not.
    Forbidden = "FORBIDDEN", 403, "Forbidden";
    /// What is asked for does not exist.
    NotFound = "NOT_FOUND", 404, "Not Found";
    /// The HTTP method does not fit the procedure.
    MethodNotSupported = "METHOD_NOT_SUPPORTED", 405, "Method Not Supported";
    /// No form of the answer suits the client.
    NotAcceptable = "NOT_ACCEPTABLE", 406, "Not Acceptable";
    /// The request took too long.
    Timeout = "TIMEOUT", 408, "Request Timeout";
    /// The request contradicts the present state.
    Conflict = "CONFLICT", 409, "Conflict";
    /// A condition of the request does not hold.
    PreconditionFailed = "PRECONDITION_FAILED", 412, "Precondition Failed";
    /// The request is larger than allowed.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413, "Payload Too Large";
    /// The body is of a type that is not understood.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, "Unsupported Media Type";
    /// The input is well formed and makes no sense.
    UnprocessableContent = "UNPROCESSABLE_CONTENT", 422, "Unprocessable Content";
    /// The client asks too often, or too much at once.
    TooManyRequests = "TOO_MANY_REQUESTS", 429, "Too Many Requests";
    /// The client has gone before the answer.
    ClientClosedRequest = "CLIENT_CLOSED_REQUEST", 499, "Client Closed Request";
    /// Something failed that is not the client's business.
    InternalServerError = "INTERNAL_SERVER_ERROR", 500, "Internal Server Error";
    /// The server cannot do that.
    NotImplemented = "NOT_IMPLEMENTED", 501, "Not Implemented";
    /// A server behind this one answered nonsense.
    BadGateway = "BAD_GATEWAY", 502, "Bad Gateway";
    /// The server cannot do that at the moment.
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503, "Service Unavailable";
    /// A server behind this one took too long.
    GatewayTimeout = "GATEWAY_TIMEOUT", 504, "Gateway Timeout";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_is_found_by_its_name() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(code));
        }
    }
}
