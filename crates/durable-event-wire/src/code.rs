//! The common error codes of oRPC.

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $status:literal, $message:literal;)*) => {
        /// An error code that every oRPC client knows, with its HTTP status and its default message.
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

            /// Returns the code as sent on the wire.
            ///
            /// ```
            /// assert_eq!(durable_event_wire::Code::Timeout.as_str(), "TIMEOUT");
            /// ```
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the HTTP status.
            ///
            /// ```
            /// assert_eq!(durable_event_wire::Code::Timeout.status(), 408);
            /// ```
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Returns the default message.
            ///
            /// ```
            /// assert_eq!(durable_event_wire::Code::Timeout.message(), "Request Timeout");
            /// ```
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// Returns the code with this name, or `None` for other names.
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
    /// The input is invalid or cannot be read.
    BadRequest = "BAD_REQUEST", 400, "Bad Request";
    /// The client is not authenticated, or its authentication has expired.
    Unauthorized = "UNAUTHORIZED", 401, "Unauthorized";
    /// The client is authenticated but not permitted.
    Forbidden = "FORBIDDEN", 403, "Forbidden";
    /// The requested resource does not exist.
    NotFound = "NOT_FOUND", 404, "Not Found";
    /// The procedure does not support the HTTP method.
    MethodNotSupported = "METHOD_NOT_SUPPORTED", 405, "Method Not Supported";
    /// The server has no response format that the client accepts.
    NotAcceptable = "NOT_ACCEPTABLE", 406, "Not Acceptable";
    /// The request took too long.
    Timeout = "TIMEOUT", 408, "Request Timeout";
    /// The request conflicts with the current state.
    Conflict = "CONFLICT", 409, "Conflict";
    /// A precondition of the request is not met.
    PreconditionFailed = "PRECONDITION_FAILED", 412, "Precondition Failed";
    /// The request is larger than allowed.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413, "Payload Too Large";
    /// The content type of the body is not supported.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, "Unsupported Media Type";
    /// The input is well formed but cannot be processed.
    UnprocessableContent = "UNPROCESSABLE_CONTENT", 422, "Unprocessable Content";
    /// The client has sent too many requests.
    TooManyRequests = "TOO_MANY_REQUESTS", 429, "Too Many Requests";
    /// The client disconnected before the response.
    ClientClosedRequest = "CLIENT_CLOSED_REQUEST", 499, "Client Closed Request";
    /// An internal error, whose cause is not disclosed to the client.
    InternalServerError = "INTERNAL_SERVER_ERROR", 500, "Internal Server Error";
    /// The server does not support the request.
    NotImplemented = "NOT_IMPLEMENTED", 501, "Not Implemented";
    /// An upstream server responded with an invalid response.
    BadGateway = "BAD_GATEWAY", 502, "Bad Gateway";
    /// The server is temporarily unavailable.
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503, "Service Unavailable";
    /// An upstream server did not respond in time.
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
