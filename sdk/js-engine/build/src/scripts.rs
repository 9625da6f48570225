//! Scripts and what they come to: the contract of the engine, as data.
//!
//! An outcome is the value or the exception, then the lines that were logged.

use crate::host::types::{Decimal, Json, Timestamp, Value};

/// One script and its call.
pub(crate) struct Script<'a> {
    pub(crate) source: &'a str,
    pub(crate) arguments: fn() -> Vec<Value>,
    pub(crate) as_json: bool,
    pub(crate) now: Option<i64>,
    pub(crate) expected: &'static str,
}

/// All scripts.
#[rustfmt::skip]
pub(crate) const SCRIPTS: &[Script<'static>] = &[
    // Which function is called.
    value("function f(a, b) { return a + b }", || vec![Value::Integer(2), Value::Integer(3)], "integer 5"),
    plain("export const f = () => 'arrow'", "text arrow"),
    plain("export default function other() { return 1 }", "integer 1"),
    plain("export default () => 2", "integer 2"),
    plain("const g = () => 3; export { g as default }", "integer 3"),
    plain("export function g() { return 1 }", "compile: throws [SyntaxError] no function named \"f\" and no default export"),
    plain("export const f = 5", "load: throws [TypeError] f is not a function"),
    plain("export default 5", "load: throws [TypeError] f is not a function"),
    plain("export class f {}", "throws [TypeError] class constructors must be invoked with 'new'…"),
    plain("let x = 1;\nlet y = ;\nfunction f() {}", "compile: throws [SyntaxError] unexpected token in expression: ';' @    at f.js:2:9"),
    plain("function f() { return `unfinished", "compile: throws [SyntaxError] unexpected end of string @    at f.js:1:23"),
    plain("function f() {} /* unfinished", "compile: throws [SyntaxError] unexpected end of comment @    at f.js:…"),
    plain("function f() { return 1 } // the end", "integer 1"),
    plain("import { x } from 'lodash'; export function f() {}", "compile: throws [TypeError] cannot import \"lodash\": bundle it into the source"),
    plain("export async function f() { return import('lodash') }", "throws [TypeError] cannot import \"lodash\": bundle it into the source"),
    plain("const later = await Promise.resolve(7); export function f() { return later }", "integer 7"),
    plain("await new Promise(() => {}); export function f() {}", "load: throws [Error] the top level of the module of f never settles"),
    plain("throw new RangeError('top'); export function f() {}", "load: throws [RangeError] top @    at <anonymous> (f.js:1:11)"),
    // Arguments.
    value("export const f = (...a) => a.map((x) => Object.prototype.toString.call(x) + String(x)).join()", every_value, "text [object Null]null,[object Boolean]true,[object Number]9007199254740991,[object BigInt]-9007199254740992,[object BigInt]9223372036854775807,[object Number]1.5,[object String]a\u{1f600},[object Uint8Array]1,2,[object String]-12.50,[object Date]Thu Jan 01 1970 00:00:00 GMT+0000,[object Object][object Object]"),
    value("export const f = (a) => a.getTime()", || vec![Value::Timestamp(Timestamp { microseconds: -1 })], "integer -1"),
    value("export const f = (a) => a.b[1]", || {
            vec![Value::Json(Json {
                text: "{\"b\":[1,2]}".into(),     })]
        }, "integer 2"),
    value("export const f = () => 1", || vec![Value::Json(Json { text: "{".into() })], "throws [SyntaxError] …"),
    // Results.
    plain("export const f = () => {}", "null"),
    plain("export const f = () => true", "boolean true"),
    plain("export const f = () => 2 ** 53", "integer 9007199254740992"),
    plain("export const f = () => 2 ** 53 + 2", "real 9007199254740994"),
    plain("export const f = () => -0", "integer 0"),
    plain("export const f = () => 0.5", "real 0.5"),
    plain("export const f = () => NaN", "real NaN"),
    plain("export const f = () => -Infinity", "real -inf"),
    plain("export const f = () => 9223372036854775807n", "integer 9223372036854775807"),
    plain("export const f = () => 9223372036854775808n", "decimal 9223372036854775808"),
    plain("export const f = () => -(2n ** 70n)", "decimal -1180591620717411303424"),
    plain("export const f = () => 'a\\ud800b\\u{1f600}'", "text a\u{fffd}b\u{1f600}"),
    plain("export const f = () => 'nul\\0nul'", "text nul\0nul"),
    plain("export const f = () => new Date(1500)", "timestamp 1500000"),
    plain("export const f = () => new Date(NaN)", "throws [TypeError] an invalid Date is not a SQL value"),
    plain("export const f = () => new Uint8Array([1, 2])", "blob [1, 2]"),
    plain("export const f = () => new Uint8Array([1, 2, 3, 4]).subarray(1, 3)", "blob [2, 3]"),
    plain("export const f = () => new Uint16Array([258])", "blob [2, 1]"),
    plain("export const f = () => new Uint8Array([7, 8]).buffer", "blob [7, 8]"),
    plain("export const f = () => new ArrayBuffer(0)", "blob []"),
    plain("export const f = () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1, 1)", "blob [2]"),
    plain("export const f = () => { const a = new Uint8Array(4); a.buffer.transfer(); return a }", "throws [TypeError] …"),
    plain("export const f = () => { const b = new ArrayBuffer(4); b.transfer(); return b }", "throws [TypeError] …"),
    plain("export const f = () => { const b = new ArrayBuffer(4, { maxByteLength: 8 }); const a = new Uint8Array(b); b.resize(2); return a }", "blob [0, 0]"),
    plain("export const f = () => ({})", "throws [TypeError] cannot return an object as a SQL value; declare RETURNS JSON"),
    plain("export const f = () => [1]", "throws [TypeError] cannot return an object as a SQL value; declare RETURNS JSON"),
    plain("export const f = () => f", "throws [TypeError] cannot return a function as a SQL value"),
    plain("export const f = () => Symbol('s')", "throws [TypeError] cannot return a symbol as a SQL value"),
    plain("export const f = () => new Proxy({}, { get() { throw 1 } })", "throws [TypeError] cannot return an object as a SQL value; declare RETURNS JSON"),
    // JSON results.
    json("export const f = () => {}", "null"),
    json("export const f = () => null", "null"),
    json("export const f = () => () => 1", "null"),
    json("export const f = () => 'a'", "json \"a\""),
    json("export const f = () => 1.5", "json 1.5"),
    json("export const f = () => ({ a: [1, undefined], d: new Date(0), u: undefined })", "json {\"a\":[1,null],\"d\":\"1970-01-01T00:00:00.000Z\"}"),
    json("export const f = () => ({ n: 12345678901234567890n })", "json {\"n\":12345678901234567890}"),
    json("export const f = () => 12345678901234567890n", "json 12345678901234567890"),
    json("export function* f() { yield { a: 1 }; yield { a: 2 } }", "json [{\"a\":1},{\"a\":2}]"),
    json("export async function* f() { yield 1; yield 2 }", "json [1,2]"),
    json("export const f = () => new Map([['a', 1]])", "json [[\"a\",1]]"),
    json("export const f = () => new String('abc')", "json \"abc\""),
    json("export const f = () => ({ toJSON() { return 'mine' }, [Symbol.iterator]: 1 })", "json \"mine\""),
    json("JSON.stringify = () => 'mine'; export const f = () => [1]", "json [1]"),
    json("export const f = () => { const a = {}; a.a = a; return a }", "throws [TypeError] circular reference…"),
    json("export const f = () => ({ toJSON() { throw new RangeError('mine') } })", "throws [RangeError] mine…"),
    json("export const f = () => '\\ud800'", "json \"\\ud800\""),
    json("export function* f() { for (;;) yield 'x'.repeat(1000) }", "ended: memory limit reached"),
    // Promises.
    plain("export async function f() { return await 4 }", "integer 4"),
    plain("export async function f() { await 1; throw new TypeError('later') }", "throws [TypeError] later @    at f (f.js:1:48)"),
    plain("export const f = () => new Promise(() => {})", "throws [Error] the promise that f returned never settles"),
    plain("export const f = () => ({ then(g) { g(5) } })", "throws [TypeError] cannot return an object…"),
    plain("export async function f() { return { then(g) { g(5) } } }", "integer 5"),
    plain("export function f() { Promise.reject(new Error('lost')); return 1 }", "throws [Error] lost @    at f (f.js:1:42)"),
    plain("export function f() { Promise.reject(new Error('kept')).catch(() => {}); return 1 }", "integer 1"),
    plain("export function f() { queueMicrotask(() => console.log('job')); return 1 }", "integer 1 | info: job"),
    plain("export const f = () => new Promise((r) => { const g = () => queueMicrotask(g); g() })", "trap OutOfFuel"),
    // The database.
    json("export const f = () => heliosdb.query('q', [1, 'Ann', 2.5])", "json {\"rows\":[{\"id\":1,\"name\":\"Ann\",\"balance\":2.5}],\"columns\":[\"id\",\"name\",\"balance\"],\"rowCount\":1}"),
    json("export const f = () => heliosdb.query('q')", "json {\"rows\":[{}],\"columns\":[],\"rowCount\":1}"),
    json("export const f = () => heliosdb.query('odd columns')", "json {\"rows\":[{\"0\":4,\"a\":2,\"__proto__\":3}],\"columns\":[\"a\",\"a\",\"__proto__\",\"0\"],\"rowCount\":1}"),
    json("export const f = () => heliosdb.execute('e', [1, 2])", "json {\"rowCount\":2}"),
    plain("export const f = () => { const d = heliosdb.query('q', [new Date(5)]).rows[0].id; return d instanceof Date && d.getTime() }", "integer 5"),
    plain("export const f = () => heliosdb.query('q', [{ a: 1 }]).rows[0].id.a", "integer 1"),
    plain("export const f = () => heliosdb.query('q', [[1, 2]]).rows[0].id[1]", "integer 2"),
    plain("export const f = () => heliosdb.query('q', [undefined]).rows[0].id", "null"),
    plain("export const f = () => heliosdb.query('q', [new Uint8Array([9])]).rows[0].id", "blob [9]"),
    plain("export const f = () => heliosdb.query('q', [2n ** 63n]).rows[0].id", "text 9223372036854775808"),
    plain("export const f = () => heliosdb.query('q', [Promise.resolve()])", "throws [TypeError] cannot pass a promise as a SQL parameter; await it first…"),
    plain("export const f = () => heliosdb.query('q', [() => 1])", "throws [TypeError] cannot pass a function as a SQL parameter…"),
    plain("export const f = () => heliosdb.query('q', { a: 1 })", "throws [TypeError] parameters must be an array…"),
    plain("export const f = () => heliosdb.query('q', null)", "throws [TypeError] parameters must be an array…"),
    plain("export const f = () => heliosdb.query(5)", "throws [TypeError] the SQL text must be a string…"),
    plain("export const f = () => heliosdb.query()", "throws [TypeError] the SQL text must be a string…"),
    plain("export const f = () => heliosdb.query('denied')", "throws [HeliosError] permission denied: DATABASE_READ on \"main.secrets\", DATABASE_READ on \"main.keys\" @    at f (f.js:1:32) cause: denied 2"),
    plain("export const f = () => heliosdb.execute('denied')", "throws [HeliosError] permission denied: DATABASE_WRITE on \"main.users\" @    at f (f.js:1:32) cause: denied 1"),
    plain("export const f = () => heliosdb.query('limit')", "throws [HeliosError] sql_bytes is 2000000, and at most 1048576 is allowed @    at f (f.js:1:32) cause: limit 1048576 2000000"),
    plain("export const f = () => heliosdb.query('invalid')", "throws [HeliosError] near \"SELEC\": syntax error @    at f (f.js:1:32) cause: invalid near \"SELEC\": syntax error"),
    plain("export const f = () => heliosdb.query('failed')", "throws [HeliosError] duplicate key @    at f (f.js:1:32) cause: failed 23505"),
    plain("export async function f() { await 1; heliosdb.query('failed') }", "throws [HeliosError] duplicate key @    at f (f.js:1:46) cause: failed 23505"),
    json("export const f = () => { try { heliosdb.query('denied') } catch (e) { return [e instanceof HeliosError, e instanceof Error, e.code, e.denials[1]] } }", "json [true,true,\"denied\",{\"capability\":\"DATABASE_READ\",\"target\":\"main.keys\"}]"),
    json("export const f = () => { try { heliosdb.query('failed') } catch (e) { return [e.name, e.code, e.sqlstate, Object.keys(e)] } }", "json [\"HeliosError\",\"failed\",\"23505\",[\"code\",\"sqlstate\"]]"),
    json("export const f = () => { try { heliosdb.query('limit') } catch (e) { return e.limit } }", "json {\"name\":\"sql_bytes\",\"allowed\":1048576,\"requested\":2000000}"),
    plain("export const f = () => { try { heliosdb.query('failed') } catch (e) { e.message = 'mine'; throw e } }", "throws [HeliosError] mine @    at f (f.js:1:40)"),
    plain("export const f = () => { throw new HeliosError('mine') }", "throws [HeliosError] mine @    at f (f.js:1:…"),
    // The clock and chance.
    clock("export const f = () => Date.now()", "integer 1500"),
    clock("export const f = () => new Date()", "timestamp 1500000"),
    clock("export const f = () => Date()", "text Thu Jan 01 1970 00:00:01 GMT+0000"),
    clock("class D extends Date {} export const f = () => new D() instanceof D && new D().getTime()", "integer 1500"),
    plain("export const f = () => Date.now()", "throws [HeliosError] permission denied: TIME_ACCESS…"),
    plain("export const f = () => new Date()", "throws [HeliosError] permission denied: TIME_ACCESS @    at f (f.js:1:28) cause: denied 1"),
    plain("export const f = () => Date()", "throws [HeliosError] permission denied: TIME_ACCESS…"),
    plain("export const f = () => new (new Date(0).constructor)()", "throws [HeliosError] permission denied: TIME_ACCESS…"),
    plain("export const f = () => Reflect.construct(Date, [], Object)", "throws [HeliosError] permission denied: TIME_ACCESS…"),
    plain("class D extends Date { constructor() { super() } } export const f = () => new D()", "throws [HeliosError] permission denied: TIME_ACCESS…"),
    json("export const f = () => [new Date(0).constructor === Date, Date.name, Date.length, typeof performance, typeof Atomics, Date.UTC(1970, 0, 2), Date.parse('1970-01-01T00:00:01Z')]", "json [true,\"Date\",7,\"undefined\",\"undefined\",86400000,1000]"),
    plain("class D extends Date { two() { return this.getTime() * 2 } } export const f = () => new D(4).two()", "integer 8"),
    plain("export const f = () => new Date(2020, 0, 2).getDate()", "integer 2"),
    plain("export const f = () => Math.random()", "throws [HeliosError] permission denied: RANDOM_ACCESS @    at f (f.js:1:28) cause: denied 1"),
    // Messages.
    plain("export const f = () => { console.log('a', 1, { b: [2n, 'c'] }); console.debug(null); console.info(undefined); console.warn(new Date(0), new Uint8Array(3)); console.error(Symbol('s')) }", "null | info: a 1 {\"b\":[2n,\"c\"]} | debug: null | info: undefined | warn: 1970-01-01T00:00:00.000Z Uint8Array(3) | error: Symbol(s)"),
    plain("export const f = () => { const o = { get g() { throw 1 } }; o.o = o; console.log(o) }", "null | info: {\"g\":[getter],\"o\":{\"g\":[getter],\"o\":{\"g\":[getter],\"o\":{\"g\":[getter],\"o\":[object]}}}}"),
    plain("export const f = () => console.log(new Proxy({}, { ownKeys() { throw 1 } }), Object.create(null), '\\ud800')", "null | info: [object] {} \u{fffd}"),
    plain("export const f = () => console.log(new TypeError('t'))", "null | info: TypeError: t\n    at f (f.js:1:40)…"),
    // Exceptions.
    plain("function g() {\n  throw new RangeError('deep');\n}\nexport function f() {\n  return g();\n}", "throws [RangeError] deep @    at g (f.js:2:13);    at f (f.js:5:10)"),
    plain("export const f = () => null.x", "throws [TypeError] cannot read property 'x' of null @    at f (f.js:1:…"),
    plain("export const f = () => undefinedVariable", "throws [ReferenceError] undefinedVariable is not defined @    at f (f.js:1:…"),
    plain("export const f = () => { throw 'text' }", "throws [] text"),
    plain("export const f = () => { throw null }", "throws [] null"),
    plain("export const f = () => { throw undefined }", "throws [] undefined"),
    plain("export const f = () => { throw Symbol('s') }", "throws [] Symbol(s)"),
    plain("export const f = () => { throw { code: 1 } }", "throws [] {\"code\":1}"),
    plain("export const f = () => { throw 12n }", "throws [] 12"),
    plain("export const f = () => { throw new Proxy(new Error('x'), { get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 } }) }", "throws [] [object]"),
    plain("class E extends Error { get message() { throw 1 } get name() { throw 2 } get stack() { throw 3 } } export const f = () => { throw new E() }", "throws [Error] "),
    plain("class E extends Error { get message() { for (;;); } } export const f = () => { throw new E() }", "trap OutOfFuel"),
    plain("class E extends Error { get message() { return this.message } } export const f = () => { throw new E() }", "throws [Error] …"),
    plain("export const f = () => { const e = new Error('m'); e.name = 5; e.message = {}; throw e }", "throws [Error] …"),
    plain("class MyError extends Error { name = 'MyError' } export const f = () => { throw new MyError('m') }", "throws [MyError] m…"),
    plain("Error.prepareStackTrace = () => ({}); export const f = () => { throw new Error('m') }", "throws [Error] m"),
    plain("Error.stackTraceLimit = 0; export const f = () => { throw new Error('m') }", "throws [Error] m"),
    plain("export const f = () => { throw new Error('\\ud800') }", "throws [Error] \u{fffd}…"),
    plain("export function f() { return f() }", "throws [RangeError] Maximum call stack size exceeded…"),
    plain("export const f = () => atob('!')", "throws [ReferenceError] …"),
    // Overwritten built-ins.
    plain("heliosdb.query = () => 5; export const f = () => heliosdb.query('denied')", "integer 5"),
    json("Array.prototype.map = Array.prototype.push = null; Object.prototype.toJSON = undefined; export const f = () => { console.log([1]); return heliosdb.query('q', [1]) }", "json {\"rows\":[{\"id\":1}],\"columns\":[\"id\"],\"rowCount\":1} | info: [1]"),
    json("Object.defineProperty(Array.prototype, 0, { set() { throw 1 } }); Object.defineProperty(Object.prototype, 'id', { set() { throw 2 } }); export const f = () => heliosdb.query('q', [1]).rows", "throws [] 1"),
    plain("Date.prototype.getTime = () => 'x'; Date.prototype.valueOf = null; export const f = () => new Date(1)", "timestamp 1000"),
    plain("Object.defineProperty(Uint8Array.prototype, 'length', { value: 'x' }); export const f = () => new Uint16Array(1)", "blob [0, 0]"),
    plain("Function.prototype.call = Function.prototype.apply = Function.prototype.bind = null; globalThis.String = globalThis.Error = null; export const f = () => { throw { a: 1 } }", "throws [] {\"a\":1}"),
    plain("globalThis.HeliosError = null; export const f = () => heliosdb.query('failed')", "throws [HeliosError] duplicate key…"),
    plain("Object.defineProperty(Error.prototype, 'message', { set() { throw 1 }, get() { throw 2 } }); export const f = () => heliosdb.query('failed')", "throws [HeliosError] duplicate key…"),
    plain("Object.defineProperty(Object.prototype, 'code', { set() { throw 1 }, get() { throw 2 } }); export const f = () => heliosdb.query('failed')", "throws [HeliosError] duplicate key…"),
    plain("Promise.prototype.then = null; export async function f() { await 1; return 2 }", "integer 2"),
    plain("Object.defineProperty(Promise.prototype, 'constructor', { get() { throw new Error('mine') } }); export async function f() { await Promise.resolve(1); return 2 }", "throws [Error] mine…"),
    plain("export const f = () => { const a = []; a.length = 4294967295; return heliosdb.query('q', a).rowCount }", "ended: memory limit reached"),
    plain("export const f = () => { const a = []; Object.defineProperty(a, 0, { configurable: true, get() { a.length = 0; return 5 } }); a[1] = 1; return heliosdb.query('q', a).rows[0].id }", "integer 5"),
    plain("export const f = () => heliosdb.query('q', [{ toJSON() { for (;;); } }])", "trap OutOfFuel"),
    plain("export const f = () => { for (;;); }", "trap OutOfFuel"),
    plain("export const f = () => { try { for (;;); } finally { for (;;); } }", "trap OutOfFuel"),
    plain("export const f = () => 'x'.repeat(1e8).length", "ended: memory limit reached"),
    plain("export const f = () => { const a = []; for (;;) a.push({ a }) }", "ended: memory limit reached"),
    plain("export const f = () => /^(a+)+$/.test('a'.repeat(40) + 'b')", "trap OutOfFuel"),
    plain("export const f = () => eval('1 + 1')", "integer 2"),
    plain("export const f = () => new Function('return 3')()", "integer 3"),
    plain("export const f = () => new WeakRef({}).deref() !== null", "boolean true"),
];

const fn plain(source: &'static str, expected: &'static str) -> Script<'static> {
    value(source, Vec::new, expected)
}

const fn value(
    source: &'static str,
    arguments: fn() -> Vec<Value>,
    expected: &'static str,
) -> Script<'static> {
    Script {
        source,
        arguments,
        as_json: false,
        now: None,
        expected,
    }
}

const fn json(source: &'static str, expected: &'static str) -> Script<'static> {
    Script {
        source,
        arguments: Vec::new,
        as_json: true,
        now: None,
        expected,
    }
}

const fn clock(source: &'static str, expected: &'static str) -> Script<'static> {
    Script {
        source,
        arguments: Vec::new,
        as_json: false,
        now: Some(1_500_999),
        expected,
    }
}

fn every_value() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Boolean(true),
        Value::Integer((1 << 53) - 1),
        Value::Integer(-(1 << 53)),
        Value::Integer(i64::MAX),
        Value::Real(1.5),
        Value::Text("a\u{1f600}".into()),
        Value::Blob(vec![1, 2]),
        Value::Decimal(Decimal {
            digits: "-12.50".into(),
        }),
        Value::Timestamp(Timestamp { microseconds: 0 }),
        Value::Json(Json { text: "{}".into() }),
    ]
}
