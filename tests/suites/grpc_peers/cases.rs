//! The calls. `tests/fixtures/grpc-peers` says what the words in them mean.

/// A call.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    /// For the client: options with their values.
    pub(crate) arguments: &'static [(&'static str, &'static str)],
    /// What the probe does.
    pub(crate) script: &'static str,
    /// What the server sees last.
    pub(crate) end: End,
    /// Whether the call comes after `the-server-exits`.
    pub(crate) server_is_gone: bool,
    /// What must be among all that both peers see.
    pub(crate) seen: &'static [&'static str],
}

/// How a call ends for the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It never began.
    Unseen,
    Ended,
    Cancelled,
    /// The server ends before.
    Begun,
}

/// A call of one message, to a server that answers.
const UNARY: Case = Case {
    name: "",
    method: "Unary",
    arguments: &[("--send", "hello")],
    script: "",
    end: End::Ended,
    server_is_gone: false,
    seen: &[],
};

/// The same where what the server sees does not come that far.
const DENIED: Case = Case { end: End::Unseen, ..UNARY };

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "unary",
        arguments: &[
            ("--send", "hello"),
            ("--metadata", "x-caller=me"),
            ("--metadata", "x-twice=1"),
            ("--metadata", "x-twice=2"),
            ("--metadata", "x-more-bin=bytes"),
        ],
        seen: &["got \"1 hello\"", "status 0", "x-hello: me", "server gets \"hello\"", "server ended"],
        ..UNARY
    },
    Case {
        name: "a-large-answer",
        arguments: &[("--send", "large")],
        seen: &["got 307200 bytes", "status 0"],
        ..UNARY
    },
    Case {
        name: "the-server-streams",
        method: "Server",
        arguments: &[("--send", "three")],
        seen: &["got \"1 one\"\n  got \"1 two\"\n  got \"1 three\"", "status 0", "trailer x-count: 1"],
        ..UNARY
    },
    Case {
        name: "the-client-streams",
        method: "Client",
        arguments: &[("--send", "a"), ("--send", "b"), ("--send", "c")],
        seen: &["got \"all 3\"", "status 0"],
        ..UNARY
    },
    Case {
        name: "both-stream",
        method: "Both",
        arguments: &[("--send", "three"), ("--send", "large"), ("--send", "a")],
        seen: &[
            "got \"1 one\"\n  got \"1 two\"\n  got \"1 three\"\n  got 307200 bytes\n  got \"3 a\"\n  got \"all 3\"",
            "status 0",
            "trailer x-count: 3",
        ],
        ..UNARY
    },
    Case {
        name: "each-message-waits-for-an-answer",
        method: "Both",
        arguments: &[("--paced", "1"), ("--send", "a"), ("--send", "b"), ("--send", "c")],
        seen: &["got \"1 a\"\n  got \"2 b\"\n  got \"3 c\"\n  got \"all 3\"", "status 0"],
        ..UNARY
    },
    Case {
        name: "refused-at-once",
        arguments: &[("--send", "refuse")],
        seen: &["status 9", "message \"as it was asked to: 100 %, ü\"", "x-count: 1", "x-detail-bin: "],
        ..UNARY
    },
    Case {
        name: "a-stream-refused-at-once",
        method: "Both",
        arguments: &[("--send", "refuse")],
        seen: &["status 9", "x-detail-bin: "],
        ..UNARY
    },
    Case {
        name: "refused-after-a-message",
        method: "Both",
        arguments: &[("--paced", "1"), ("--send", "a"), ("--send", "refuse")],
        seen: &["got \"1 a\"", "status 9", "x-count: 2"],
        ..UNARY
    },
    Case { name: "no-such-method", method: "Nope", seen: &["status 12"], ..DENIED },
    Case { name: "no-such-service", method: "/test.Nobody/Unary", seen: &["status 12"], ..DENIED },
    Case {
        name: "a-deadline",
        arguments: &[("--send", "hang"), ("--deadline", "1000")],
        end: End::Cancelled,
        seen: &["server gets \"hang\"", "server cancelled"],
        ..UNARY
    },
    Case {
        name: "a-deadline-in-a-stream",
        method: "Both",
        arguments: &[("--paced", "1"), ("--send", "a"), ("--send", "hang"), ("--deadline", "1000")],
        end: End::Cancelled,
        seen: &["got \"1 a\"", "server cancelled"],
        ..UNARY
    },
    Case {
        name: "cancelled-after-a-message",
        method: "Both",
        arguments: &[("--paced", "1"), ("--send", "a"), ("--cancel", "1")],
        end: End::Cancelled,
        seen: &["got \"1 a\"", "server cancelled"],
        ..UNARY
    },
    Case {
        name: "cancelled-after-the-head",
        method: "Both",
        arguments: &[("--metadata", "x-caller=me"), ("--paced", "1"), ("--send", "hush"), ("--cancel", "0")],
        end: End::Cancelled,
        seen: &["x-hello: me", "server cancelled"],
        ..UNARY
    },
    Case {
        name: "denied",
        script: "request_headers = [['local_response', 403, 'no', 'you may not', -1, 'x-why', 'because'], ['return', 1]]",
        seen: &["status 7", "message \"you may not\"", "x-why: because"],
        ..DENIED
    },
    Case {
        name: "denied-with-a-status-of-grpc",
        script: "request_headers = [['local_response', 401, '', 'sign in first: 100 %', 16], ['return', 1]]",
        seen: &["status 16", "message \"sign in first: 100 %\""],
        ..DENIED
    },
    Case {
        name: "a-stream-denied",
        method: "Both",
        arguments: &[("--paced", "1"), ("--send", "a"), ("--send", "b")],
        script: "request_headers = [['local_response', 403, '', 'no streams', -1], ['return', 1]]",
        seen: &["status 7", "message \"no streams\""],
        ..DENIED
    },
    Case {
        name: "denied-by-its-message",
        // Neither server takes a call before its message is there.
        script: "request_body = [['local_response', 429, '', 'too many', -1], ['return', 1]]",
        seen: &["status 14", "message \"too many\""],
        ..DENIED
    },
    Case {
        name: "denied-by-the-head-of-the-answer",
        script: "response_headers = [['local_response', 404, '', 'not that', -1], ['return', 1]]",
        seen: &["status 12", "message \"not that\""],
        ..UNARY
    },
    Case {
        name: "changed-on-the-way",
        arguments: &[("--send", "hello"), ("--metadata", "x-caller=me")],
        script: "request_headers = [['replace', 0, 'x-caller', 'the filter'], ['add', 0, 'x-more', '1']]
                 response_headers = [['add', 2, 'x-head', '2']]
                 response_trailers = [['add', 3, 'x-trailer', '3']]",
        seen: &["x-hello: the filter", "[x-more: 1]", "x-head: 2", "x-trailer: 3"],
        ..UNARY
    },
    Case {
        name: "another-status",
        script: "response_trailers = [['replace', 3, 'grpc-status', '5'], ['replace', 3, 'grpc-message', 'not here']]",
        seen: &["status 5", "message \"not here\""],
        ..UNARY
    },
    Case {
        name: "another-status-for-a-refusal",
        arguments: &[("--send", "refuse")],
        script: "response_headers = [['replace', 2, 'grpc-status', '5']]",
        seen: &["x-detail-bin: "],
        ..UNARY
    },
    Case {
        name: "held-in-both-directions",
        method: "Server",
        arguments: &[("--send", "three")],
        script: "request_body = [['return', 1]]
                 request_body_end = [['return', 0]]
                 response_body = [['return', 1]]
                 response_trailers = [['return', 0]]",
        seen: &["got \"1 one\"\n  got \"1 two\"\n  got \"1 three\"", "status 0"],
        ..UNARY
    },
    Case {
        name: "another-message",
        script: r#"request_body = [['return', 1]]
                   request_body_end = [['set_buffer', 0, 0, 100, "\u0000\u0000\u0000\u0000\u0003you"], ['return', 0]]"#,
        seen: &["server gets \"you\"", "got \"1 you\""],
        ..UNARY
    },
    Case { name: "closed-by-the-filter", script: "request_headers = [['close', 0], ['return', 1]]", ..DENIED },
    Case {
        name: "the-server-exits",
        method: "Both",
        arguments: &[("--paced", "1"), ("--send", "a"), ("--send", "exit")],
        end: End::Begun,
        seen: &["got \"1 a\""],
        ..UNARY
    },
    Case { name: "no-server", server_is_gone: true, seen: &["status 14", "connect error"], ..DENIED },
    // The last: no call after it passes Envoy.
    Case {
        name: "a-trap",
        script: "request_headers = [['trap']]",
        server_is_gone: true,
        seen: &["status 14"],
        ..DENIED
    },
];
