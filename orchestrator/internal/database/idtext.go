package database

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// textOf says for the types whose index can look ids up which texts are ids:
// those that PostgreSQL would write for a value of the type. nil: for another
// type that is not known here.
func textOf(base string) func(id string) bool {
	switch base {
	case "text", "varchar":
		return storable
	case "uuid":
		return func(id string) bool {
			u, err := uuid.Parse(id)
			return err == nil && u.String() == id
		}
	case "int2":
		return integer(16)
	case "int4":
		return integer(32)
	case "int8":
		return integer(64)
	}
	return nil
}

func integer(bits int) func(id string) bool {
	return func(id string) bool {
		n, err := strconv.ParseInt(id, 10, bits)
		return err == nil && strconv.FormatInt(n, 10) == id
	}
}

// storable says whether a database can hold the text.
func storable(id string) bool { return utf8.ValidString(id) && !strings.ContainsRune(id, 0) }
