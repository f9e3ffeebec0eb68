module pantry/shop

go 1.21
