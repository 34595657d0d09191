// The part of the proxy-wasm ABI 0.2.1 that this filter needs, as the host declares it.

export const OK: u32 = 0;
export const INFO: u32 = 2;
export const REQUEST_HEADERS: u32 = 0;
export const RESPONSE_HEADERS: u32 = 2;
export const CONTINUE: u32 = 0;
export const PAUSE: u32 = 1;

@external("env", "proxy_log")
declare function proxy_log(level: u32, text: usize, size: usize): u32;
@external("env", "proxy_get_header_map_value")
declare function proxy_get_header_map_value(map: u32, key: usize, keySize: usize, value: usize, valueSize: usize): u32;
@external("env", "proxy_replace_header_map_value")
declare function proxy_replace_header_map_value(map: u32, key: usize, keySize: usize, value: usize, valueSize: usize): u32;
@external("env", "proxy_send_local_response")
declare function proxy_send_local_response(
  status: u32, details: usize, detailsSize: usize, body: usize, bodySize: usize,
  headers: usize, headersSize: usize, grpcStatus: i32
): u32;

// Where the host writes the address and the size of what it returns.
const out = memory.data(8);

function bytes(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}

// Copies and frees what the host returned.
function take(): string {
  const address = <usize>load<u32>(out);
  const text = String.UTF8.decodeUnsafe(address, <usize>load<u32>(out, 4));
  if (address) heap.free(address);
  return text;
}

export function log(level: u32, text: string): void {
  const line = bytes(text);
  proxy_log(level, changetype<usize>(line), line.byteLength);
}

/** The header's value, or `null` if there is none. */
export function header(map: u32, name: string): string | null {
  const key = bytes(name);
  const status = proxy_get_header_map_value(map, changetype<usize>(key), key.byteLength, out, out + 4);
  return status == OK ? take() : null;
}

export function setHeader(map: u32, name: string, text: string): void {
  const key = bytes(name);
  const value = bytes(text);
  proxy_replace_header_map_value(map, changetype<usize>(key), key.byteLength, changetype<usize>(value), value.byteLength);
}

/** Answers instead of the upstream, with one additional header. */
export function respond(status: u32, name: string, value: string, text: string): void {
  const body = bytes(text);
  const key = bytes(name);
  const content = bytes(value);
  // One pair: the count, both sizes, then both texts, each with a NUL.
  const pairs = new ArrayBuffer(12 + key.byteLength + 1 + content.byteLength + 1);
  const start = changetype<usize>(pairs);
  store<u32>(start, 1);
  store<u32>(start, key.byteLength, 4);
  store<u32>(start, content.byteLength, 8);
  memory.copy(start + 12, changetype<usize>(key), key.byteLength);
  memory.copy(start + 12 + key.byteLength + 1, changetype<usize>(content), content.byteLength);
  proxy_send_local_response(status, 0, 0, changetype<usize>(body), body.byteLength, start, pairs.byteLength, -1);
}

// AssemblyScript's runtime reports a failed assertion here (`--use abort=abi/fail`): the host has no `abort`.
export function fail(_message: string | null, _file: string | null, _line: u32, _column: u32): void {
  unreachable();
}
