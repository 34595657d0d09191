//! gRPC callouts.

use proxy_wasm_abi::callbacks::Id;

use super::{BAD_ARGUMENT, BAD_MEMORY, BAD_OUT, BAD_RANGES, NOT_FOUND, OK, OUT, during};

const H: Id = Id::RequestHeaders;
const PARSE_FAILURE: u32 = 4;

#[test]
fn the_token_is_written_where_the_call_was_made() {
    during(H, |f| {
        let service = |name: &[u8]| {
            let (at, len) = f.bytes(name);
            [[at, len], [0, 0], [0, 0], [0, 0]]
        };
        f.write_u32(OUT, 99);
        assert_eq!(f.proxy(|c| c.grpc_call(service(b"nope"), [0, 0], 0, OUT)), PARSE_FAILURE);
        assert_eq!(f.proxy(|c| c.grpc_stream(service(b"nope"), OUT)), PARSE_FAILURE);
        assert_eq!(f.u32_at(OUT), 99, "what is refused has none");
        for (out, token) in BAD_OUT.into_iter().zip([5, 9, 13, 17]) {
            assert_eq!(f.proxy(|c| c.grpc_call(service(b"nope"), [0, 0], 0, out)), PARSE_FAILURE);
            // The call was made: Envoy finds out too late as well.
            assert_eq!(f.proxy(|c| c.grpc_call(service(b"auth"), [0, 0], 0, out)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.state().grpc_cancel(token)), OK);
        }
        assert_eq!(f.proxy(|c| c.grpc_call(service(b"auth"), [0, 0], 0, OUT)), OK);
        assert_eq!(f.u32_at(OUT), 21);
        assert_eq!(f.proxy(|c| c.grpc_stream(service(b"auth"), OUT)), OK);
        assert_eq!(f.u32_at(OUT), 6);
    });
}

#[test]
fn bad_pointers_count_before_anything_else() {
    during(H, |f| {
        let (name, len) = f.bytes(b"auth");
        for (at, bad) in BAD_RANGES {
            for argument in 0..5 {
                let mut arguments = [[name, len]; 5];
                arguments[argument] = [at, bad];
                let [a, b, c, d, request] = arguments;
                assert_eq!(f.proxy(|call| call.grpc_call([a, b, c, d], request, 0, OUT)), BAD_MEMORY);
                if argument < 4 {
                    assert_eq!(f.proxy(|call| call.grpc_stream([a, b, c, d], OUT)), BAD_MEMORY);
                }
            }
            assert_eq!(f.proxy(|c| c.grpc_send(5, [at, bad], 0)), BAD_MEMORY);
        }
        assert_eq!(f.proxy(|c| c.grpc_send(5, [0, 0], 0)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.grpc_send(2, [0, 0], 0)), NOT_FOUND);
    });
}
