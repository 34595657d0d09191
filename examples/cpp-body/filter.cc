// Blots out passwords in request bodies, and signs response bodies.
//
// Both change a body's length, in the two ways that there are. The request's new length is known only at its end, so
// its `content-length` goes and the body is sent in chunks. The response grows by a constant, so its `content-length`
// can be corrected in time.

#include <string>
#include <string_view>

#include "proxy_wasm.h"

using namespace proxy_wasm;

namespace {

constexpr std::string_view kSecret = "password=";
constexpr std::string_view kSignature = "-- signed by cpp-body\n";

// Replaces each value after `password=`, up to the next `&`. Returns how many there were.
int blot_out(std::string &form) {
  int count = 0;
  for (size_t at = form.find(kSecret); at != std::string::npos; at = form.find(kSecret, at)) {
    at += kSecret.size();
    size_t end = form.find_first_of("&\n", at);
    form.replace(at, (end == std::string::npos ? form.size() : end) - at, "***");
    ++count;
  }
  return count;
}

} // namespace

CALLBACK(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1() {}

CALLBACK(proxy_on_request_headers)
HeadersAction proxy_on_request_headers(uint32_t, uint32_t, uint32_t end_of_stream) {
  if (!end_of_stream) {
    remove_header(kRequestHeaders, "content-length");
  }
  return kContinueHeaders;
}

CALLBACK(proxy_on_request_body)
DataAction proxy_on_request_body(uint32_t, uint32_t size, uint32_t end_of_stream) {
  if (!end_of_stream) {
    // The host keeps what came and shows all of it next time.
    return kStopIterationAndBuffer;
  }
  std::string form = body(kRequestBody, size);
  if (int count = blot_out(form)) {
    log(kWarn, "blotted out " + std::to_string(count) + " in " + std::to_string(size) + " bytes");
    set_body(kRequestBody, size, form);
  }
  return kContinueData;
}

CALLBACK(proxy_on_response_headers)
HeadersAction proxy_on_response_headers(uint32_t, uint32_t, uint32_t end_of_stream) {
  std::string length = header(kResponseHeaders, "content-length");
  if (!end_of_stream && !length.empty()) {
    set_header(kResponseHeaders, "content-length", std::to_string(std::stoul(length) + kSignature.size()));
  }
  return kContinueHeaders;
}

CALLBACK(proxy_on_response_body)
DataAction proxy_on_response_body(uint32_t, uint32_t size, uint32_t end_of_stream) {
  if (end_of_stream) {
    // Beyond the end: appends. What came before this chunk is on its way already.
    proxy_set_buffer_bytes(kResponseBody, size, 0, kSignature.data(), kSignature.size());
    log(kInfo, "signed the response");
  }
  return kContinueData;
}
