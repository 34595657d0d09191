module example/go-log

go 1.24
