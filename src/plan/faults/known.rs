//! Mistakes whose remedy does not depend on the text around them, as tables.

/// Functions of other dialects, with what to write here.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("countif", "count(*) FILTER (WHERE …)"),
    ("count_if", "count(*) FILTER (WHERE …)"),
    ("sumif", "sum(x) FILTER (WHERE …)"),
    ("sum_if", "sum(x) FILTER (WHERE …)"),
    ("if", "CASE WHEN … THEN … ELSE … END"),
    ("iif", "CASE WHEN … THEN … ELSE … END"),
    ("decode", "CASE x WHEN … THEN … ELSE … END"),
    ("isnull", "x IS NULL, or coalesce(x, y)"),
    ("len", "length(x)"),
    ("quantile", "percentile_cont(p) WITHIN GROUP (ORDER BY x)"),
    ("percentile", "percentile_cont(p) WITHIN GROUP (ORDER BY x)"),
    ("percentile_disc", "percentile_cont(p) WITHIN GROUP (ORDER BY x)"),
    ("group_concat", "string_agg(x, ', ' ORDER BY x)"),
    ("listagg", "string_agg(x, ', ' ORDER BY x)"),
    ("datediff", "a difference: a column in minutes, or to_unixtime(b) - to_unixtime(a)"),
    ("date_diff", "a difference: a column in minutes, or to_unixtime(b) - to_unixtime(a)"),
    ("timestampdiff", "a difference: a column in minutes, or to_unixtime(b) - to_unixtime(a)"),
    ("dateadd", "a sum: x + INTERVAL '1 hour'"),
    ("date_add", "a sum: x + INTERVAL '1 hour'"),
    ("year", "date_part('year', x)"),
    ("month", "date_part('month', x)"),
    ("day", "date_part('day', x)"),
    ("hour", "date_part('hour', x)"),
    ("minute", "date_part('minute', x)"),
    ("dayofweek", "date_part('dow', x)"),
    ("strftime", "to_char(x, '%Y-%m-%d')"),
    ("date_format", "to_char(x, '%Y-%m-%d')"),
    ("any", "any_value(x), or max(x)"),
];

/// Mistakes whose message says nothing that must be picked out: what it holds, what to say (`None`:
/// as it says itself), how to mend it, and the word that it is about.
pub(crate) const KNOWN: &[(&str, Option<&str>, &str, &str)] = &[
    (
        "Aggregate functions are not allowed in the WHERE clause",
        Some("WHERE asks for an aggregate, which is known only after the rows are grouped"),
        "move the condition to HAVING, behind GROUP BY, or write FILTER (WHERE …) at an aggregate",
        "where",
    ),
    (
        "only supports a single SQL statement",
        Some("the file holds more than one statement"),
        "keep one SELECT; another query is another file, or a view in sql/staging",
        "",
    ),
    (
        "No SQL statements were provided",
        Some("the file holds no query"),
        "write a SELECT, as SELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id",
        "",
    ),
    (
        "queries have different number of columns",
        Some("the SELECTs that are put together have different numbers of columns"),
        "give each the same columns in the same order; CAST(NULL AS DOUBLE) AS x fills a gap",
        "union",
    ),
    (
        "must have the same number of columns",
        Some("the SELECTs that are compared have different numbers of columns"),
        "give each the same columns in the same order",
        "",
    ),
    (
        "Incompatible inputs for Union",
        Some("the parts of UNION have columns of different types"),
        "give each SELECT the same types in the same order, with CAST where they differ",
        "union",
    ),
    (
        "to common types in CASE WHEN expression",
        Some("the branches of CASE give values of different types"),
        "make them alike with CAST, as CAST(n AS VARCHAR)",
        "case",
    ),
    (
        "SELECT * with no tables",
        Some("there is nothing to select from"),
        "name a relation, as FROM completions",
        "select",
    ),
    (
        "Window function calls cannot be nested",
        Some("a window function stands within another one"),
        "compute the inner one in a sub-query: FROM (SELECT … ) AS t",
        "over",
    ),
    (
        "subquery should only return one column",
        Some("a sub-query that stands for one value has several columns"),
        "select one column in it",
        "",
    ),
    (
        "Only a single ordering expression is permitted",
        Some("WITHIN GROUP takes one column to order by"),
        "keep one",
        "within",
    ),
    (
        "Unterminated string literal",
        Some("a text is not closed"),
        "end it with a single quote; a quote within a text is written twice: 'it''s'",
        "",
    ),
    ("GROUPING SETS", None, "group by one list of columns", "group"),
];
