// Sends old paths to their new places, by a table that is built while the module is instantiated.

import { CONTINUE, INFO, PAUSE, REQUEST_HEADERS, RESPONSE_HEADERS, header, log, respond, setHeader } from "./abi";

// Top-level code becomes the module's `start` function: it runs before the host can call anything.
const moved = new Map<string, string>();
moved.set("/old", "/new");
moved.set("/blog", "/articles");
const summary = moved.size.toString() + " moved paths";

export function proxy_abi_version_0_2_1(): void {}

// The host calls this for each value that it returns.
export function malloc(size: usize): usize {
  return heap.alloc(size);
}

export function proxy_on_configure(_context: u32, _size: u32): u32 {
  log(INFO, summary);
  return 1;
}

export function proxy_on_request_headers(_context: u32, _count: u32, _endOfStream: u32): u32 {
  const path = header(REQUEST_HEADERS, ":path");
  if (path && moved.has(path)) {
    const place = moved.get(path);
    log(INFO, path + " is now " + place);
    respond(301, "location", place, "moved to " + place + "\n");
    return PAUSE;
  }
  return CONTINUE;
}

export function proxy_on_response_headers(_context: u32, _count: u32, _endOfStream: u32): u32 {
  setHeader(RESPONSE_HEADERS, "x-table", summary);
  return CONTINUE;
}
