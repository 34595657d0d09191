//! The callbacks that a filter can export.

/// A callback: all its parameters and its result, if it has one, are `i32`.
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    /// The export's name.
    pub name: &'static str,
    /// Number of parameters in ABI 0.2.x.
    pub params: usize,
    /// Number of parameters in ABI 0.1.0, where it differs.
    pub params_0_1_0: Option<usize>,
    /// Whether it returns a value.
    pub result: bool,
    /// The kind of event that it is for.
    pub family: Family,
}

/// The kind of event that a callback is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The plugin's life and its contexts'.
    Lifecycle,
    /// An HTTP exchange.
    Http,
    /// A timer.
    Timer,
    /// An HTTP callout.
    HttpCallout,
    /// A gRPC callout.
    GrpcCallout,
    /// A shared queue.
    Queue,
    /// A foreign function.
    Foreign,
    /// A name that was asked for.
    Dns,
}

macro_rules! callbacks {
    ($($id:ident $name:literal $params:literal $(($old:literal))? $result:literal $family:ident;)*) => {
        /// A position in [`CALLBACKS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        #[allow(missing_docs, reason = "each is the callback of that name")]
        pub enum Id { $($id),* }

        /// Every callback that the shim calls, in the specification's order, and then Envoy's own.
        pub const CALLBACKS: &[Callback] = &[$(Callback {
            name: $name,
            params: $params,
            params_0_1_0: { #[allow(unused_assignments, unused_mut, reason = "only some rows have it")] { let mut old: Option<usize> = None; $(old = Some($old);)? old } },
            result: $result,
            family: Family::$family,
        }),*];
    };
}

callbacks! {
    ContextCreate "proxy_on_context_create" 2 false Lifecycle;
    VmStart "proxy_on_vm_start" 2 true Lifecycle;
    ValidateConfiguration "proxy_validate_configuration" 2 true Lifecycle;
    Configure "proxy_on_configure" 2 true Lifecycle;
    Tick "proxy_on_tick" 1 false Timer;
    RequestHeaders "proxy_on_request_headers" 3 (2) true Http;
    RequestBody "proxy_on_request_body" 3 true Http;
    RequestTrailers "proxy_on_request_trailers" 2 true Http;
    RequestMetadata "proxy_on_request_metadata" 2 true Http;
    ResponseHeaders "proxy_on_response_headers" 3 (2) true Http;
    ResponseBody "proxy_on_response_body" 3 true Http;
    ResponseTrailers "proxy_on_response_trailers" 2 true Http;
    ResponseMetadata "proxy_on_response_metadata" 2 true Http;
    HttpCallResponse "proxy_on_http_call_response" 5 false HttpCallout;
    GrpcReceiveInitialMetadata "proxy_on_grpc_receive_initial_metadata" 3 false GrpcCallout;
    GrpcReceive "proxy_on_grpc_receive" 3 false GrpcCallout;
    GrpcReceiveTrailingMetadata "proxy_on_grpc_receive_trailing_metadata" 3 false GrpcCallout;
    GrpcClose "proxy_on_grpc_close" 3 false GrpcCallout;
    QueueReady "proxy_on_queue_ready" 2 false Queue;
    ForeignFunction "proxy_on_foreign_function" 3 false Foreign;
    Done "proxy_on_done" 1 true Lifecycle;
    Log "proxy_on_log" 1 false Lifecycle;
    Delete "proxy_on_delete" 1 false Lifecycle;
    ResolveDns "envoy_on_resolve_dns" 3 false Dns;
}

/// The most parameters that any of them has.
pub const CALLBACK_PARAMS_MAX: usize = 5;

/// Callbacks of TCP filters, which an HTTP host never calls.
pub const TCP_CALLBACKS: &[&str] = &[
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positions() {
        assert_eq!(CALLBACKS[Id::ContextCreate as usize].name, "proxy_on_context_create");
        assert_eq!(CALLBACKS[Id::Delete as usize].name, "proxy_on_delete");
        assert_eq!(CALLBACKS[Id::RequestHeaders as usize].params_0_1_0, Some(2));
        assert_eq!(CALLBACKS.iter().map(|callback| callback.params).max(), Some(CALLBACK_PARAMS_MAX));
        assert!(CALLBACKS.len() <= 64, "the bridge's bit set holds 64");
    }
}
