//! SQLite's built-in SQL functions that a guest's statement may call. What is not
//! listed is refused: a new SQLite may bring functions that nobody has looked at.

/// What calling a built-in function takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Builtin {
    /// It computes from its arguments alone.
    Pure,
    /// It reads the clock, or can: `date('now')` is no other function than
    /// `date('2026-11-22')`.
    Time,
    /// It draws random numbers.
    Random,
}

/// Looks a function up by its name in lower case.
pub(crate) fn lookup(name: &str) -> Option<Builtin> {
    if PURE.binary_search(&name).is_ok() {
        Some(Builtin::Pure)
    } else if TIME.contains(&name) {
        Some(Builtin::Time)
    } else if RANDOM.contains(&name) {
        Some(Builtin::Random)
    } else {
        None
    }
}

const TIME: &[&str] = &[
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "julianday",
    "strftime",
    "time",
    "timediff",
    "unixepoch",
];

const RANDOM: &[&str] = &["random", "randomblob"];

/// From https://sqlite.org/lang_corefunc.html, lang_aggfunc, windowfunctions,
/// lang_mathfunc and json1. Left out on purpose: `changes`, `total_changes` and
/// `last_insert_rowid` (they tell what others on the connection did),
/// `load_extension`, `sqlite_*` and the functions of full-text search and R-trees.
const PURE: &[&str] = &[
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_insert",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "soundex",
    "sqrt",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "tanh",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unistr_quote",
    "unlikely",
    "upper",
    "zeroblob",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_it_can_be_searched() {
        assert!(PURE.is_sorted());
    }

    #[test]
    fn clocks_and_dice_are_not_pure() {
        assert_eq!(lookup("datetime"), Some(Builtin::Time));
        assert_eq!(lookup("random"), Some(Builtin::Random));
        assert_eq!(lookup("upper"), Some(Builtin::Pure));
        assert_eq!(lookup("load_extension"), None);
        assert_eq!(lookup("last_insert_rowid"), None);
    }
}
