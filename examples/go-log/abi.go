package main

import "unsafe"

// The part of the proxy-wasm ABI 0.2.1 that this filter needs. `go build` has no SDK to offer here, and needs none.

const (
	statusOK = 0

	logInfo = 2
	logWarn = 3

	mapRequestHeaders  = 0
	mapResponseHeaders = 2

	bufferRequestBody = 0
	bufferVMConfig    = 6

	streamRequest = 0

	actionContinue = 0
	actionPause    = 1
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, text unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path unsafe.Pointer, pathSize uint32, value unsafe.Pointer, valueSize unsafe.Pointer) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, size uint32, bytes unsafe.Pointer, bytesSize unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize unsafe.Pointer) uint32

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32) uint32

// What the host allocated and no one took yet: keeps it from the garbage collector.
var allocated = map[uint32][]byte{}

// The host calls this for each value that it returns.
//
//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 {
	bytes := make([]byte, max(size, 1))
	address := uint32(uintptr(unsafe.Pointer(&bytes[0])))
	allocated[address] = bytes
	return address
}

// A value that the host wrote: its address, which the host got from `allocate`, and its size.
type result struct{ address, size uint32 }

func (r *result) out() (unsafe.Pointer, unsafe.Pointer) {
	return unsafe.Pointer(&r.address), unsafe.Pointer(&r.size)
}

func (r *result) take() string {
	bytes := allocated[r.address]
	delete(allocated, r.address)
	return string(bytes[:min(int(r.size), len(bytes))])
}

func pointer(text string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(text)), uint32(len(text))
}

func log(level uint32, text string) {
	address, size := pointer(text)
	proxyLog(level, address, size)
}

func property(path string) (string, bool) {
	var value result
	address, size := pointer(path)
	out, outSize := value.out()
	if proxyGetProperty(address, size, out, outSize) != statusOK {
		return "", false
	}
	return value.take(), true
}

func buffer(kind, size uint32) string {
	var value result
	out, outSize := value.out()
	if proxyGetBufferBytes(kind, 0, size, out, outSize) != statusOK {
		return ""
	}
	return value.take()
}

func header(kind uint32, name string) (string, bool) {
	var value result
	address, size := pointer(name)
	out, outSize := value.out()
	if proxyGetHeaderMapValue(kind, address, size, out, outSize) != statusOK {
		return "", false
	}
	return value.take(), true
}

func setHeader(kind uint32, name, text string) {
	key, keySize := pointer(name)
	value, size := pointer(text)
	proxyReplaceHeaderMapValue(kind, key, keySize, value, size)
}
