//! Capture bodies run under the writer's own settings: nothing there may change what they do.

use super::Case;
use super::fence::{FIRST, run};
use crate::support::soon;

/// Names that a body could pick up by the search path: functions, operators, types, tables.
const HOSTILE: &str = "
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.no(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the operator of another schema''; END';
    CREATE OPERATOR evil.= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = evil.no);
    CREATE FUNCTION evil.no_text(text, text) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the operator of another schema''; END';
    CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no_text);
    CREATE FUNCTION evil.no_name(name, name) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the operator of another schema''; END';
    CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.no_name);
    CREATE FUNCTION evil.no_oid(oid, oid) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the operator of another schema''; END';
    CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.no_oid);
    CREATE FUNCTION evil.no_int(int, int) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the operator of another schema''; END';
    CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.no_int);
    CREATE FUNCTION evil.no_big(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the operator of another schema''; END';
    CREATE OPERATOR evil.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.no_big);
    CREATE OPERATOR evil.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.no_big);
    CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the function of another schema''; END';
    CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the function of another schema''; END';
    CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the function of another schema''; END';
    CREATE FUNCTION evil.has_table_privilege(oid, text) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the function of another schema''; END';
    CREATE DOMAIN evil.text AS int; CREATE DOMAIN evil.name AS int; CREATE DOMAIN evil.oid AS pg_catalog.text;
    CREATE DOMAIN evil.regclass AS int; CREATE DOMAIN evil.int8 AS pg_catalog.text; CREATE DOMAIN evil.record AS int;
    CREATE TABLE evil.pg_class (x int); CREATE TABLE evil.pg_namespace (x int); CREATE TABLE evil.pg_attribute (x int);
    CREATE TABLE evil.highwater_new (x int); CREATE TABLE evil.highwater_old (x int)";

const SETTINGS: &str = "SET search_path = evil, pg_catalog, public; SET standard_conforming_strings = off; \
    SET extra_float_digits = -15; SET datestyle = 'German'; SET transform_null_equals = on; SET check_function_bodies = on";

#[tokio::test]
async fn a_hostile_search_path_changes_nothing_that_is_logged() {
    let case = Case::new(
        "CREATE TABLE t (a int PRIMARY KEY, v text); CREATE TABLE k (v text); CREATE TABLE \"b\\s'q\" (\"c\\'\" text PRIMARY KEY)",
    )
    .await;
    case.execute(HOSTILE).await;
    let mut writer = case.database.connect().await;
    run(&mut writer, SETTINGS).await.unwrap();
    run(
        &mut writer,
        "INSERT INTO public.t VALUES (1, 'x'), (2, 'y'); UPDATE public.t SET v = 'z'; UPDATE public.t SET a = a OPERATOR(pg_catalog.+) 10;
         DELETE FROM public.t WHERE a OPERATOR(pg_catalog.=) 11; INSERT INTO public.k VALUES ('x');
         INSERT INTO public.\"b\\s'q\" VALUES ('x'); TRUNCATE public.t",
    )
    .await
    .unwrap();
    let mut log = case.log("t").await;
    log[2..4].sort();
    log[4..8].sort();
    assert_eq!(log, ["I 1", "I 2", "U 1", "U 2", "D 1", "D 2", "I 11", "I 12", "D 11", "T"]);
    assert_eq!(case.log("k").await, ["W"]);
    let odd = "SELECT count(*) FROM highwater_capture.\"public.b\\s'q\"";
    assert_eq!(case.number(odd).await, 1);
    case.execute("ALTER TABLE t RENAME a TO b").await;
    run(&mut writer, "INSERT INTO public.t VALUES (3, 'not logged')").await.unwrap();
    assert_eq!(case.number("SELECT count(*) FROM highwater_capture.broken").await, 1);
    case.execute("ALTER TABLE t RENAME b TO a").await;
    case.install().await;
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    for write in ["INSERT INTO public.t VALUES (4, 'x')", "INSERT INTO public.k VALUES ('x')"] {
        let error = run(&mut writer, write).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("HW001"), "{error}");
    }
    case.source.lower_fence(FIRST).await.unwrap();
    run(&mut writer, "INSERT INTO public.t VALUES (4, 'x')").await.unwrap();
}
