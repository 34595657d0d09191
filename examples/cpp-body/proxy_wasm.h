// The part of the proxy-wasm ABI 0.2.1 that this filter needs, as the host declares it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#define HOST_CALL(name) extern "C" __attribute__((import_module("env"), import_name(#name)))
#define CALLBACK(name) extern "C" __attribute__((export_name(#name)))

namespace proxy_wasm {

enum Status : uint32_t { kOk = 0 };
enum LogLevel : uint32_t { kInfo = 2, kWarn = 3 };
enum Map : uint32_t { kRequestHeaders = 0, kResponseHeaders = 2 };
enum Buffer : uint32_t { kRequestBody = 0, kResponseBody = 1 };
enum HeadersAction : uint32_t { kContinueHeaders = 0 };
enum DataAction : uint32_t { kContinueData = 0, kStopIterationAndBuffer = 1 };

HOST_CALL(proxy_log) Status proxy_log(LogLevel level, const char *text, size_t size);
HOST_CALL(proxy_get_header_map_value)
Status proxy_get_header_map_value(Map map, const char *key, size_t key_size, char **value, size_t *value_size);
HOST_CALL(proxy_replace_header_map_value)
Status proxy_replace_header_map_value(Map map, const char *key, size_t key_size, const char *value, size_t value_size);
HOST_CALL(proxy_remove_header_map_value)
Status proxy_remove_header_map_value(Map map, const char *key, size_t key_size);
HOST_CALL(proxy_get_buffer_bytes)
Status proxy_get_buffer_bytes(Buffer buffer, size_t start, size_t size, char **bytes, size_t *bytes_size);
HOST_CALL(proxy_set_buffer_bytes)
Status proxy_set_buffer_bytes(Buffer buffer, size_t start, size_t size, const char *bytes, size_t bytes_size);

inline void log(LogLevel level, std::string_view text) { proxy_log(level, text.data(), text.size()); }

// What the host hands over is ours to free.
inline std::string take(char *bytes, size_t size) {
  std::string text(bytes == nullptr ? "" : bytes, size);
  std::free(bytes);
  return text;
}

// The header's value, empty if there is none.
inline std::string header(Map map, std::string_view name) {
  char *value = nullptr;
  size_t size = 0;
  return proxy_get_header_map_value(map, name.data(), name.size(), &value, &size) == kOk ? take(value, size) : "";
}

inline void set_header(Map map, std::string_view name, std::string_view value) {
  proxy_replace_header_map_value(map, name.data(), name.size(), value.data(), value.size());
}

inline void remove_header(Map map, std::string_view name) {
  proxy_remove_header_map_value(map, name.data(), name.size());
}

inline std::string body(Buffer buffer, size_t size) {
  char *bytes = nullptr;
  size_t bytes_size = 0;
  return proxy_get_buffer_bytes(buffer, 0, size, &bytes, &bytes_size) == kOk ? take(bytes, bytes_size) : "";
}

// Replaces the first `size` bytes.
inline void set_body(Buffer buffer, size_t size, std::string_view bytes) {
  proxy_set_buffer_bytes(buffer, 0, size, bytes.data(), bytes.size());
}

} // namespace proxy_wasm
