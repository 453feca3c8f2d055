//! What rules may name without declaring it.

/// Names that need not be declared: types, and the libraries that functions belong to.
pub(super) const NAMES: [&str; 17] = [
    "bool",
    "bytes",
    "cel",
    "cidr",
    "double",
    "duration",
    "format",
    "int",
    "ip",
    "list",
    "map",
    "math",
    "null_type",
    "optional",
    "sets",
    "string",
    "type",
];

/// The functions that rules may call.
#[rustfmt::skip]
pub(super) const FUNCTIONS: [&str; 111] = [
    "size", "int", "uint", "double", "string", "bool", "bytes", "duration", "timestamp", "type",
    "dyn", "matches", "contains", "startsWith", "endsWith", "getFullYear", "getMonth", "getDate",
    "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds",
    "getMilliseconds", "has", "all", "exists", "exists_one", "map", "filter", "charAt", "indexOf",
    "lastIndexOf", "lowerAscii", "upperAscii", "replace", "split", "substring", "trim", "join",
    "format", "quote", "reverse", "isSorted", "sum", "min", "max", "find", "findAll", "url",
    "getScheme", "getHost", "getHostname", "getPort", "getEscapedPath", "getQuery", "isURL",
    "quantity", "isQuantity", "sign", "isGreaterThan", "isLessThan", "compareTo",
    "asApproximateFloat", "asInteger", "isInteger", "add", "sub", "isIP", "ip", "family",
    "isUnspecified", "isLoopback", "isLinkLocalMulticast", "isLinkLocalUnicast",
    "isGlobalUnicast", "isCanonical", "isCIDR", "cidr", "containsIP", "containsCIDR", "masked",
    "prefixLength", "equivalent", "intersects", "semver", "isSemver", "major", "minor", "patch",
    "of", "none", "ofNonZeroValue", "hasValue", "value", "orValue", "or", "optMap", "optFlatMap",
    "named", "validate", "flatten", "bind", "greatest", "least", "transformList", "transformMap",
    "transformMapEntry", "dns1123Label", "dns1123Subdomain",
];
