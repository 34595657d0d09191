//! The ABI's numbers, in the order of the specification.

/// The status that a `proxy_*` host call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such key, property, token or buffer.
    NotFound = 1,
    /// An argument is out of range, or the map or buffer can't be changed now.
    BadArgument = 2,
    /// The value has no wire form.
    SerializationFailure = 3,
    /// The argument could not be parsed.
    ParseFailure = 4,
    /// A pointer and length outside the filter's memory, or an allocator that failed.
    InvalidMemoryAccess = 6,
    /// The queue is empty.
    Empty = 7,
    /// The compare-and-swap number did not match.
    CasMismatch = 8,
    /// The host failed.
    InternalFailure = 10,
    /// The connection is gone.
    BrokenConnection = 11,
    /// The host does not have this call.
    Unimplemented = 12,
}

/// Severity of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace = 0,
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

impl LogLevel {
    /// The level with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        use LogLevel::*;
        [Trace, Debug, Info, Warn, Error, Critical].into_iter().find(|level| *level as u32 == number)
    }

    /// The level's name, lower-case.
    pub fn name(self) -> &'static str {
        ["trace", "debug", "info", "warn", "error", "critical"][self as usize]
    }
}

/// The header maps of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum MapType {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    GrpcInitialMetadata = 4,
    GrpcTrailingMetadata = 5,
    HttpCallResponseHeaders = 6,
    HttpCallResponseTrailers = 7,
}

impl MapType {
    /// The map with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        use MapType::*;
        Some(match number {
            0 => RequestHeaders,
            1 => RequestTrailers,
            2 => ResponseHeaders,
            3 => ResponseTrailers,
            4 => GrpcInitialMetadata,
            5 => GrpcTrailingMetadata,
            6 => HttpCallResponseHeaders,
            7 => HttpCallResponseTrailers,
            _ => return None,
        })
    }
}

/// The byte buffers of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BufferType {
    RequestBody = 0,
    ResponseBody = 1,
    DownstreamData = 2,
    UpstreamData = 3,
    HttpCallResponseBody = 4,
    GrpcMessage = 5,
    VmConfiguration = 6,
    PluginConfiguration = 7,
    CallData = 8,
}

impl BufferType {
    /// The buffer with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        use BufferType::*;
        Some(match number {
            0 => RequestBody,
            1 => ResponseBody,
            2 => DownstreamData,
            3 => UpstreamData,
            4 => HttpCallResponseBody,
            5 => GrpcMessage,
            6 => VmConfiguration,
            7 => PluginConfiguration,
            8 => CallData,
            _ => return None,
        })
    }
}

/// The part of a connection that `proxy_continue_stream` and `proxy_close_stream` act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum StreamType {
    Request = 0,
    Response = 1,
    Downstream = 2,
    Upstream = 3,
}

impl StreamType {
    /// The stream type with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        use StreamType::*;
        [Request, Response, Downstream, Upstream].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// The type of a metric that `proxy_define_metric` defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

impl MetricType {
    /// The metric type with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        use MetricType::*;
        [Counter, Gauge, Histogram].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// WASI preview-1 error numbers that the shim returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names of WASI")]
pub enum Errno {
    Success = 0,
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Noent = 44,
    Nosys = 52,
    Notdir = 20,
    Notsup = 58,
    Notcapable = 76,
}
