/**
 * The globals that a stored procedure in JavaScript sees.
 *
 * There is nothing to import at run time: add
 * `/// <reference types="heliosdb" />` to a file, or `"types": ["heliosdb"]` to
 * `compilerOptions` in `tsconfig.json`.
 *
 * | SQL                        | argument and row                | result                                   |
 * |----------------------------|---------------------------------|------------------------------------------|
 * | BOOLEAN                    | `boolean`                       | `boolean`                                |
 * | SMALLINT, INTEGER, BIGINT  | `number`; `bigint` beyond ±(2^53 − 1) | a whole `number`, or `bigint`      |
 * | REAL, DOUBLE PRECISION     | `number`                        | `number`                                 |
 * | NUMERIC                    | `string` of digits (exact)      | `string`, `number`, or `bigint` of any size |
 * | TEXT, UUID                 | `string`                        | `string`                                 |
 * | BYTEA, BLOB                | `Uint8Array`                    | `Uint8Array`, any buffer or view of one  |
 * | DATE, TIMESTAMP            | `Date` (UTC, whole milliseconds) | `Date`                                  |
 * | JSON                       | the parsed value                | what `JSON.stringify` takes, or a generator, which becomes an array |
 * | NULL                       | `null`                          | `null` or `undefined`                    |
 *
 * In the rows of a SQLite table, a column is what the table declares it to be: BOOLEAN is a
 * `boolean`, DATE, TIMESTAMP and DATETIME are a `Date`, JSON is parsed, as far as the value
 * that is stored has that form. What a query computes, as `max(t)` or `CAST(t AS TEXT)`, is
 * a `number`, `string` or `Uint8Array`.
 */

declare global {
  /** The database that runs this procedure. */
  const heliosdb: HeliosDatabase;

  /** A request that the database did not carry out. Nothing of it took effect. */
  class HeliosError extends Error {
    readonly name: "HeliosError";

    /**
     * What kind of refusal it is:
     *
     * - `denied`: a capability is missing, see `denials`;
     * - `limit`: the request is larger than one may be, see `limit`;
     * - `invalid`: it makes no sense, as with a syntax error or a wrong number of
     *   parameters;
     * - `failed`: the database reports a failure, see `sqlstate`.
     */
    code?: "denied" | "limit" | "invalid" | "failed";

    /** With `denied`: every capability that was missing. */
    denials?: HeliosDenial[];

    /** With `limit`: the bound that the request was beyond. */
    limit?: HeliosLimit;

    /** With `failed`: five characters, as in PostgreSQL: `23505` for a duplicate key. */
    sqlstate?: string;
  }

  /** Writes to the operator's log, and to the caller as notices. */
  interface Console {
    debug(...values: unknown[]): void;
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  }

  var console: Console;
}

/** A value as the database gives it. */
export type SqlValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | JsonValue;

/** A value as the database takes it: objects and arrays become JSON. */
export type SqlParameter = SqlValue | undefined | ArrayBuffer | ArrayBufferView | object;

/** A JSON document. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | JsonValue[]
  | { [name: string]: JsonValue };

/** A permission that was missing. */
export interface HeliosDenial {
  /** Its name in SQL: `DATABASE_READ`. */
  capability: string;
  /** What the request wanted to touch: `main.users`. May be empty. */
  target: string;
}

/** A bound on one request. */
export interface HeliosLimit {
  /** Its name, as `heliosdb.limits` has it. */
  name: string;
  allowed: number;
  requested: number;
}

/** What a query found. */
export interface QueryResult<Row> {
  /** The rows, with a property for each column; of columns of one name, the last. */
  rows: Row[];
  /** The columns' names, in order. */
  columns: string[];
  /** The number of rows. */
  rowCount: number;
}

/** What a statement changed. */
export interface ExecuteResult<Row> extends QueryResult<Row> {
  /** The number of rows that it inserted, changed or deleted itself. */
  rowCount: number;
  /** The rows of its RETURNING clause. */
  rows: Row[];
  /** SQLite's rowid of the last row that it inserted itself; null if it inserted none. */
  lastInsertId: number | bigint | null;
}

/** What a batch changed. */
export interface BatchResult {
  /** The number of rows that all its runs together inserted, changed or deleted. */
  rowCount: number;
}

/**
 * A statement that is run often. It is prepared when it is first run, which is also when
 * an error in its text is thrown. It may outlive its grants, but not run without them.
 */
export interface HeliosStatement<Row = Record<string, SqlValue>> {
  /** As `heliosdb.query`. */
  query(params?: readonly SqlParameter[]): QueryResult<Row>;
  /** As `heliosdb.queryOne`. */
  queryOne(params?: readonly SqlParameter[]): Row | null;
  /** As `heliosdb.stream`. */
  stream(params?: readonly SqlParameter[]): Generator<Row, void, void>;
  /** As `heliosdb.execute`. */
  execute(params?: readonly SqlParameter[]): ExecuteResult<Row>;
  /** As `heliosdb.batch`. */
  batch(lists: readonly (readonly SqlParameter[])[]): BatchResult;
}

/**
 * SQL, from inside a procedure. Calls return when the database has answered.
 *
 * Everywhere, `sql` is one statement, and values belong in `params`, not in the text: one
 * for each `?` in order, or for `$1`, `$2`, … by number. A text with literals in it must be
 * a constant of the source; one that is put together at run time is refused. What is refused or fails throws a
 * {@link HeliosError}, a parameter that is no SQL value (a function, a promise) a
 * `TypeError`.
 */
export interface HeliosDatabase {
  /**
   * Runs one statement that only reads.
   *
   * Needs `DATABASE_READ` on every table that it reads.
   *
   * ```js
   * const { rows } = heliosdb.query("SELECT name FROM users WHERE id = ?", [id]);
   * ```
   */
  query<Row = Record<string, SqlValue>>(
    sql: string,
    params?: readonly SqlParameter[],
  ): QueryResult<Row>;

  /**
   * Runs one statement that only reads, and gives its row, or null. More than one row is
   * a failure (`sqlstate` 21000).
   *
   * ```js
   * const name = heliosdb.queryOne("SELECT name FROM users WHERE id = ?", [id])?.name;
   * ```
   */
  queryOne<Row = Record<string, SqlValue>>(
    sql: string,
    params?: readonly SqlParameter[],
  ): Row | null;

  /**
   * Runs one INSERT, UPDATE, DELETE or REPLACE.
   *
   * Needs `DATABASE_WRITE` on the table that it writes, and `DATABASE_READ` on what
   * it reads besides. If the procedure throws, nothing that it wrote remains.
   *
   * ```js
   * const { rowCount } = heliosdb.execute("UPDATE users SET name = ? WHERE id = ?", [name, id]);
   * ```
   *
   * CREATE, ALTER and DROP of a TABLE or an INDEX, without parameters, need
   * `DATABASE_EXECUTE`, and the two others on a table that is there already.
   */
  execute<Row = Record<string, SqlValue>>(
    sql: string,
    params?: readonly SqlParameter[],
  ): ExecuteResult<Row>;

  /**
   * Runs one statement that writes, once for each list of parameters. Either all of the
   * runs take effect, or none does.
   *
   * ```js
   * heliosdb.batch("INSERT INTO users (name) VALUES (?)", names.map((name) => [name]));
   * ```
   */
  batch(sql: string, lists: readonly (readonly SqlParameter[])[]): BatchResult;

  /**
   * A statement that is to be run often. A call may have 100 of them at a time; one that
   * nothing refers to any more is closed.
   */
  prepare<Row = Record<string, SqlValue>>(sql: string): HeliosStatement<Row>;

  /**
   * Runs one statement that only reads, and gives its rows one by one, however many they
   * are: a portion of them is in memory at a time. Leaving the loop early closes it.
   *
   * ```js
   * for (const { name } of heliosdb.stream("SELECT name FROM users ORDER BY name")) {
   *   if (!visit(name)) break;
   * }
   * ```
   */
  stream<Row = Record<string, SqlValue>>(
    sql: string,
    params?: readonly SqlParameter[],
  ): Generator<Row, void, void>;

  /**
   * Calls a function, and undoes what it wrote if it throws. Transactions may lie in each
   * other; with `async` functions, the one that was begun last must end first.
   *
   * Needs `DATABASE_WRITE`. Inside a SQL statement that writes it is refused
   * (`sqlstate` 0A000): that statement is the unit.
   *
   * ```js
   * heliosdb.transaction(() => {
   *   heliosdb.execute("UPDATE accounts SET balance = balance - ? WHERE id = ?", [amount, payer]);
   *   heliosdb.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", [amount, payee]);
   * });
   * ```
   */
  transaction<Result>(work: () => Result): Result;
}
