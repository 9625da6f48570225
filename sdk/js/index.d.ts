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
 * SQLite stores NUMERIC, DATE, TIMESTAMP and JSON as text, so that rows of a SQLite
 * table have them as `string`.
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
export interface ExecuteResult {
  /** The number of rows that it inserted, changed or deleted itself. */
  rowCount: number;
}

/** SQL, from inside a procedure. Calls return when the database has answered. */
export interface HeliosDatabase {
  /**
   * Runs one statement that only reads.
   *
   * Needs `DATABASE_READ` on every table that it reads.
   *
   * ```js
   * const { rows } = heliosdb.query("SELECT name FROM users WHERE id = ?", [id]);
   * ```
   *
   * @param sql One statement. Values belong in `params`, not in the text.
   * @param params A value for each `?` in order, or for `$1`, `$2`, … by number.
   * @throws {HeliosError} If the request is refused or fails.
   * @throws {TypeError} If a parameter is no SQL value, such as a function or a promise.
   */
  query<Row = Record<string, SqlValue>>(
    sql: string,
    params?: readonly SqlParameter[],
  ): QueryResult<Row>;

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
   * @param sql One statement. Values belong in `params`, not in the text.
   * @param params A value for each `?` in order, or for `$1`, `$2`, … by number.
   * @throws {HeliosError} If the request is refused or fails.
   */
  execute(sql: string, params?: readonly SqlParameter[]): ExecuteResult;
}
