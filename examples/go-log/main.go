// Logs each request with its body, and names the environment that it runs in.
package main

import (
	"fmt"
	"os"
)

// A library: `main` does not run.
func main() {}

// What is remembered of each exchange between its callbacks.
type exchange struct {
	method, path string
	body         int
}

var (
	stage     string
	exchanges = map[uint32]*exchange{}
)

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_vm_start
func onVMStart(_ uint32, size uint32) uint32 {
	stage = os.Getenv("STAGE")
	if stage == "" {
		fmt.Fprintln(os.Stderr, "STAGE is not set")
		return 0
	}
	log(logInfo, fmt.Sprintf("started on %s: %s", stage, buffer(bufferVMConfig, size)))
	return 1
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id uint32, parent uint32) {
	if parent != 0 {
		exchanges[id] = &exchange{}
	}
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id uint32, _ uint32, endOfStream uint32) uint32 {
	current := exchanges[id]
	current.method, _ = property("request\x00method")
	current.path, _ = property("request\x00url_path")
	if agent, found := header(mapRequestHeaders, "user-agent"); found {
		setHeader(mapRequestHeaders, "user-agent", agent+" via go-log")
	} else {
		setHeader(mapRequestHeaders, "user-agent", "go-log")
	}
	return actionContinue
}

//go:wasmexport proxy_on_request_body
func onRequestBody(id uint32, size uint32, endOfStream uint32) uint32 {
	if endOfStream == 0 {
		// Hold the body back until it is complete.
		return actionPause
	}
	current := exchanges[id]
	current.body = int(size)
	// What a filter prints is a log record as well.
	fmt.Printf("body of %s %s: %q\n", current.method, current.path, buffer(bufferRequestBody, size))
	return actionContinue
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id uint32, _ uint32, _ uint32) uint32 {
	plugin, _ := property("plugin_name")
	setHeader(mapResponseHeaders, "x-logged-by", plugin+" on "+stage)
	return actionContinue
}

//go:wasmexport proxy_on_log
func onLog(id uint32) {
	current := exchanges[id]
	status, _ := header(mapResponseHeaders, ":status")
	level := uint32(logInfo)
	if status >= "500" {
		level = logWarn
	}
	log(level, fmt.Sprintf("%s %s: %s, %d bytes in", current.method, current.path, status, current.body))
}

//go:wasmexport proxy_on_delete
func onDelete(id uint32) {
	delete(exchanges, id)
}
