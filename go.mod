module dacorch

go 1.26
