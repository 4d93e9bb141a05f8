package zookeeper

import "strconv"

// Stat is what ZooKeeper tells of a node. Zxids count changes, times are
// milliseconds since 1970.
type Stat struct {
	Czxid, Mzxid   int64 // the change that created it, that last set its data
	Ctime, Mtime   int64
	Version        int32 // changes of its data
	Cversion       int32 // changes of its list of children
	Aversion       int32 // changes of its ACL
	EphemeralOwner int64 // session whose end deletes it, 0 for none
	DataLength     int32
	NumChildren    int32
	Pzxid          int64 // the change that last created or deleted a child
}

// ACL lets who ID stands for in Scheme do what the bits of Perms say: 1 read,
// 2 write, 4 create, 8 delete, 16 admin.
type ACL struct {
	Perms      int32
	Scheme, ID string
}

const (
	permRead   = 1
	permWrite  = 2
	permCreate = 4
	permDelete = 8
	permAdmin  = 16
)

// opCode is a request's type on the wire.
type opCode int32

const (
	opCreate          opCode = 1
	opDelete          opCode = 2
	opExists          opCode = 3
	opGetData         opCode = 4
	opSetData         opCode = 5
	opGetACL          opCode = 6
	opSetACL          opCode = 7
	opGetChildren     opCode = 8
	opSync            opCode = 9
	opPing            opCode = 11
	opGetChildren2    opCode = 12
	opCheck           opCode = 13
	opMulti           opCode = 14
	opCreate2         opCode = 15
	opReconfig        opCode = 16
	opCheckWatches    opCode = 17
	opRemoveWatches   opCode = 18
	opCreateContainer opCode = 19
	opCreateTTL       opCode = 21
	opMultiRead       opCode = 22
	opAuth            opCode = 100
	opSetWatches      opCode = 101
	opGetEphemerals   opCode = 103
	opGetAllChildren  opCode = 104
	opSetWatches2     opCode = 105
	opAddWatch        opCode = 106
	opWhoAmI          opCode = 107
	opOpenSession     opCode = -10 // in the log only
	opCloseSession    opCode = -11
	opError           opCode = -1
)

var opNames = map[opCode]string{
	opCreate: "create", opDelete: "delete", opExists: "exists", opGetData: "getData", opSetData: "setData",
	opGetACL: "getACL", opSetACL: "setACL", opGetChildren: "getChildren", opSync: "sync", opPing: "ping",
	opGetChildren2: "getChildren2", opCheck: "check", opMulti: "multi", opCreate2: "create2",
	opReconfig: "reconfig", opCheckWatches: "checkWatches", opRemoveWatches: "removeWatches",
	opCreateContainer: "createContainer", opCreateTTL: "createTTL", opMultiRead: "multiRead", opAuth: "auth",
	opSetWatches: "setWatches", opGetEphemerals: "getEphemerals", opGetAllChildren: "getAllChildrenNumber",
	opSetWatches2: "setWatches2", opAddWatch: "addWatch", opWhoAmI: "whoAmI", opCloseSession: "closeSession",
}

func (o opCode) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return "op" + strconv.Itoa(int(o))
}

// code is an answer's error on the wire, 0 for none.
type code int32

const (
	ok                      code = 0
	runtimeInconsistency    code = -2
	marshallingError        code = -5
	unimplemented           code = -6
	badArguments            code = -8
	noNode                  code = -101
	noAuth                  code = -102
	badVersion              code = -103
	noChildrenForEphemerals code = -108
	nodeExists              code = -110
	notEmpty                code = -111
	invalidACL              code = -114
	authFailed              code = -115
	notReadOnly             code = -119
	noWatcher               code = -121
	quotaExceeded           code = -125
)

// The events of watches, as they stand on the wire.
const (
	eventCreated         int32 = 1
	eventDeleted         int32 = 2
	eventDataChanged     int32 = 3
	eventChildrenChanged int32 = 4
)

const (
	xidNotification = -1
	xidPing         = -2

	stateSyncConnected = 3
)

// Flags of create.
const (
	flagEphemeral  = 1
	flagSequential = 2
	flagContainer  = 4
	flagTTL        = 5
	flagTTLAndSeq  = 6
)
