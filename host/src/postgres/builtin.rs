//! PostgreSQL's own SQL functions that a guest's statement may call. What is not listed
//! is refused, as on SQLite: many read what no grant covers (`pg_get_functiondef`), run
//! SQL in a string (`query_to_xml`), or reach beyond the call (`set_config`, `pg_notify`,
//! `lo_create`, `pg_advisory_lock`).

pub(crate) use crate::database::builtin::Builtin;

/// Looks a function up by its name as it is folded, without its schema.
pub(crate) fn lookup(name: &str) -> Option<Builtin> {
    let is_in = |list: &str| list.split_ascii_whitespace().any(|known| known == name);
    if is_in(PURE) {
        Some(Builtin::Pure)
    } else if is_in(TIME) {
        Some(Builtin::Time)
    } else if is_in(RANDOM) {
        Some(Builtin::Random)
    } else {
        None
    }
}

/// Whether the server has a function of this name that is listed here.
pub(crate) fn is_builtin(name: &str) -> bool {
    lookup(name).is_some()
}

const TIME: &str = "age clock_timestamp current_date current_time current_timestamp localtime \
    localtimestamp now statement_timestamp timeofday transaction_timestamp";

const RANDOM: &str = "gen_random_uuid random setseed";

/// From chapter 9 of the manual: operators' functions, texts, numbers, times that are
/// given, JSON, arrays, aggregates and windows.
const PURE: &str = "
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos
    cosd cosh cot cotd degrees div erf exp factorial floor gcd lcm ln log log10 min_scale mod
    pi power radians round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc
    width_bucket

    ascii bit_length btrim char_length character_length chr coalesce concat concat_ws decode
    encode format greatest initcap least left length lower lpad ltrim md5 normalize nullif
    octet_length overlay parse_ident position quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad
    rtrim sha224 sha256 sha384 sha512 split_part starts_with string_to_array string_to_table
    strpos substr substring to_ascii to_hex translate trim unistr upper

    bit_count get_bit get_byte set_bit set_byte

    to_char to_date to_number to_timestamp date_bin date_part date_trunc extract isfinite
    justify_days justify_hours justify_interval make_date make_interval make_time make_timestamp
    make_timestamptz timezone

    array_to_json json_agg json_array_elements json_array_elements_text json_array_length
    json_build_array json_build_object json_each json_each_text json_extract_path
    json_extract_path_text json_object json_object_agg json_object_keys json_populate_record
    json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
    jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path
    jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys
    jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
    jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb

    array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_to_string
    array_upper cardinality generate_series generate_subscripts trim_array unnest

    any_value avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every
    grouping max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev
    stddev_pop stddev_samp string_agg sum var_pop var_samp variance

    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number

    isempty lower_inc lower_inf range_merge upper_inc upper_inf daterange int4range int8range
    numrange tsrange tstzrange

    num_nonnulls num_nulls row
    phraseto_tsquery plainto_tsquery setweight strip to_tsquery to_tsvector ts_headline ts_rank
    ts_rank_cd tsvector_to_array websearch_to_tsquery
    ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_beyond_the_statement_is_not_listed() {
        for name in [
            "set_config",
            "current_setting",
            "query_to_xml",
            "table_to_xml",
            "ts_stat",
            "ts_rewrite",
            "pg_notify",
            "pg_sleep",
            "pg_read_file",
            "lo_import",
            "lo_create",
            "lo_get",
            "dblink",
            "pg_advisory_lock",
            "pg_advisory_xact_lock",
            "pg_get_functiondef",
            "to_regclass",
            "nextval",
            "setval",
            "currval",
            "lastval",
            "pg_terminate_backend",
            "pg_relation_size",
            "has_table_privilege",
            "col_description",
            "version",
            "txid_current",
            "json_populate_recordset_x",
            "",
        ] {
            assert_eq!(lookup(name), None, "{name}");
        }
        assert_eq!(lookup("now"), Some(Builtin::Time));
        assert_eq!(lookup("random"), Some(Builtin::Random));
        assert_eq!(lookup("lower"), Some(Builtin::Pure));
    }
}
