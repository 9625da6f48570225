// The JavaScript side of the engine, evaluated once, before the snapshot.
//
// It is a function of the native functions and returns what the Rust side calls.
// It keeps its own references to the built-ins that it needs, since a procedure
// may overwrite them. Nothing here is a security boundary: the host checks every
// request again.
(function (native) {
  'use strict';

  const bindCall = Function.prototype.call.bind.bind(Function.prototype.call);
  const { isArray } = Array;
  const { construct } = Reflect;
  const { isView } = ArrayBuffer;
  const { stringify, rawJSON } = JSON;
  const { keys, getOwnPropertyDescriptor, getPrototypeOf, defineProperty } = Object;
  const { iterator, asyncIterator, toStringTag } = Symbol;
  const text = String;
  const bytes = Uint8Array;
  const systemDate = globalThis.Date;
  const systemError = Error;
  const systemTypeError = TypeError;
  const systemPromise = Promise;
  const dateTime = bindCall(systemDate.prototype.getTime);
  const dateText = bindCall(systemDate.prototype.toString);
  const dateIso = bindCall(systemDate.prototype.toISOString);
  const bigintText = bindCall(BigInt.prototype.toString);
  const symbolText = bindCall(Symbol.prototype.toString);
  const wellFormed = bindCall(String.prototype.toWellFormed);
  const stringValue = bindCall(String.prototype.valueOf);
  const instanceOf = bindCall(Function.prototype[Symbol.hasInstance]);

  function getterOf(prototype, name) {
    return bindCall(getOwnPropertyDescriptor(prototype, name).get);
  }

  const typedArray = getPrototypeOf(bytes.prototype);
  const arrayName = getterOf(typedArray, toStringTag);
  const arrayBuffer = getterOf(typedArray, 'buffer');
  const arrayOffset = getterOf(typedArray, 'byteOffset');
  const arrayLength = getterOf(typedArray, 'byteLength');
  const viewBuffer = getterOf(DataView.prototype, 'buffer');
  const viewOffset = getterOf(DataView.prototype, 'byteOffset');
  const viewLength = getterOf(DataView.prototype, 'byteLength');
  const bufferLength = getterOf(ArrayBuffer.prototype, 'byteLength');

  // Unlike assignment, this never runs a setter that the object inherits.
  function give(target, name, value) {
    defineProperty(target, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  }

  function publish(target, name, value) {
    defineProperty(target, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
  }

  function attempt(operation, value) {
    try {
      return operation(value);
    } catch {
      return undefined;
    }
  }

  // Errors of the host. The private record is the host's own error, so that an
  // error that a procedure lets through keeps its meaning outside.

  let refuse;
  let recordOf;

  class HeliosError extends Error {
    #record;

    static {
      refuse = (record) => {
        const error = new HeliosError(record[1]);
        error.#record = record;
        describe(error, record);
        return error;
      };
      recordOf = (error) =>
        #record in error && error.message === error.#record[1] ? error.#record : undefined;
    }
  }

  function describe(error, record) {
    give(error, 'code', record[0]);
    if (record[0] === 'denied') {
      const denials = [];
      for (let index = 2; index < record.length; index += 2) {
        give(denials, index / 2 - 1, { capability: record[index], target: record[index + 1] });
      }
      give(error, 'denials', denials);
    } else if (record[0] === 'limit') {
      give(error, 'limit', { name: record[2], allowed: +record[3], requested: +record[4] });
    } else if (record[0] === 'failed') {
      give(error, 'sqlstate', record[2]);
    }
  }

  publish(HeliosError.prototype, 'name', 'HeliosError');
  publish(globalThis, 'HeliosError', HeliosError);

  // The database. What the host keeps open is held by a native function, and closed when
  // that is forgotten.

  const [QUERY, QUERY_ONE, STREAM, BATCH, EXECUTE] = [0, 1, 2, 3, 4];

  class Statement {
    #sql;
    #read;
    #write;

    constructor(sql) {
      if (typeof sql !== 'string') {
        throw new systemTypeError('the SQL text must be a string');
      }
      this.#sql = sql;
    }

    // Which of two it is shows when it is first run: to read and to write are different
    // capabilities.
    #reads(what, params) {
      return (this.#read ??= native.prepareRead(this.#sql))(what, params);
    }

    #writes(what, params) {
      return (this.#write ??= native.prepareWrite(this.#sql))(what, params);
    }

    query(params) {
      return this.#reads(QUERY, params);
    }

    queryOne(params) {
      return this.#reads(QUERY_ONE, params);
    }

    stream(params) {
      return rowsOfCursor(this.#reads(STREAM, params));
    }

    execute(params) {
      return this.#writes(EXECUTE, params);
    }

    batch(lists) {
      return this.#writes(BATCH, lists);
    }
  }

  const ROWS_FIRST = 16;
  const ROWS_MAX = 256;

  // Leaving a loop over it early runs the `finally`.
  function* rowsOfCursor(fetch) {
    try {
      for (let count = ROWS_FIRST; ; count = count < ROWS_MAX ? count * 2 : count) {
        const rows = fetch(count);
        if (rows.length === 0) {
          return;
        }
        for (let index = 0; index < rows.length; index++) {
          yield rows[index];
        }
      }
    } finally {
      fetch(0);
    }
  }

  function transaction(work) {
    if (typeof work !== 'function') {
      throw new systemTypeError('a transaction is a function');
    }
    const end = native.begin();
    let result;
    try {
      result = work();
    } catch (error) {
      attempt(end, false);
      throw error;
    }
    return instanceOf(systemPromise, result) ? commitLater(end, result) : commit(end, result);
  }

  async function commitLater(end, promise) {
    let result;
    try {
      result = await promise;
    } catch (error) {
      attempt(end, false);
      throw error;
    }
    return commit(end, result);
  }

  function commit(end, result) {
    try {
      end(true);
    } catch (error) {
      attempt(end, false);
      throw error;
    }
    return result;
  }

  publish(globalThis, 'heliosdb', {
    query: native.query,
    queryOne: native.queryOne,
    execute: native.execute,
    batch: native.batch,
    prepare: (sql) => new Statement(sql),
    stream: (sql, params) => rowsOfCursor(native.stream(sql, params)),
    transaction,
  });

  // The clock. `Date` without arguments asks the host; the built-in constructor,
  // which would not ask, is out of reach.

  function Date(year, month, day, hours, minutes, seconds, milliseconds) {
    if (new.target === undefined) {
      return dateText(new systemDate(native.now()));
    }
    return construct(systemDate, arguments.length === 0 ? [native.now()] : arguments, new.target);
  }

  defineProperty(Date, 'prototype', { value: systemDate.prototype, writable: false });
  publish(Date, 'now', native.now);
  publish(Date, 'parse', systemDate.parse);
  publish(Date, 'UTC', systemDate.UTC);
  publish(systemDate.prototype, 'constructor', Date);
  publish(globalThis, 'Date', Date);

  // The contract has no interface for random numbers yet, so they are refused
  // rather than made up.
  publish(Math, 'random', function random() {
    throw refuse(['denied', 'permission denied: RANDOM_ACCESS', 'RANDOM_ACCESS', '']);
  });

  // JSON carries numbers of any size, so a BigInt is written with all its digits.
  publish(BigInt.prototype, 'toJSON', function toJSON() {
    return rawJSON(bigintText(this));
  });

  // Objects as people read them, in messages.

  const DEPTH_MAX = 4;
  const ENTRIES_MAX = 100;

  function show(value, depth = 0) {
    switch (typeof value) {
      case 'string':
        return depth === 0 ? value : stringify(value);
      case 'bigint':
        return bigintText(value) + 'n';
      case 'symbol':
        return symbolText(value);
      case 'function':
        return '[function]';
      case 'object':
        return value === null ? 'null' : attempt((object) => showObject(object, depth), value) ?? '[object]';
      default:
        return text(value);
    }
  }

  function showObject(value, depth) {
    const time = attempt(dateTime, value);
    if (time !== undefined) {
      return time === time ? dateIso(value) : 'Invalid Date';
    }
    if (instanceOf(systemError, value)) {
      return showError(value);
    }
    if (isView(value)) {
      return `${arrayName(value) ?? 'DataView'}(${bytesOf(value).length})`;
    }
    if (depth === DEPTH_MAX) {
      return isArray(value) ? '[array]' : '[object]';
    }
    return isArray(value) ? showArray(value, depth) : showFields(value, depth);
  }

  function showError(error) {
    const title = `${error.name}: ${error.message}`;
    return typeof error.stack === 'string' && error.stack !== '' ? `${title}\n${error.stack}` : title;
  }

  function showArray(array, depth) {
    let list = '';
    for (let index = 0; index < array.length && index < ENTRIES_MAX; index++) {
      list += (index === 0 ? '' : ',') + show(array[index], depth + 1);
    }
    return `[${list}${array.length > ENTRIES_MAX ? ',…' : ''}]`;
  }

  function showFields(object, depth) {
    const names = keys(object);
    let list = '';
    for (let index = 0; index < names.length && index < ENTRIES_MAX; index++) {
      const field = getOwnPropertyDescriptor(object, names[index]);
      const shown = 'value' in field ? show(field.value, depth + 1) : '[getter]';
      list += `${index === 0 ? '' : ','}${stringify(names[index])}:${shown}`;
    }
    return `{${list}${names.length > ENTRIES_MAX ? ',…' : ''}}`;
  }

  function logger(level) {
    return (...values) => {
      let line = '';
      for (let index = 0; index < values.length; index++) {
        line += (index === 0 ? '' : ' ') + show(values[index]);
      }
      native.write(level, wellFormed(line));
    };
  }

  publish(globalThis, 'console', {
    debug: logger('debug'),
    log: logger('info'),
    info: logger('info'),
    warn: logger('warn'),
    error: logger('error'),
  });

  // What the Rust side asks about objects.

  // The bytes under any buffer or view of one, without copying them.
  function bytesOf(value) {
    if (!isView(value)) {
      return attempt(bufferLength, value) === undefined ? undefined : new bytes(value);
    }
    return arrayName(value) === undefined
      ? new bytes(viewBuffer(value), viewOffset(value), viewLength(value))
      : new bytes(arrayBuffer(value), arrayOffset(value), arrayLength(value));
  }

  function dateOf(milliseconds) {
    return new systemDate(milliseconds);
  }

  // A Date as a number, a buffer as a Uint8Array, anything else as undefined.
  function scalarOf(object) {
    return attempt(dateTime, object) ?? bytesOf(object);
  }

  // The array that JSON shows for something that yields rows.
  function rowsOf(value) {
    if (isArray(value) || isView(value) || typeof value.toJSON === 'function') {
      return value;
    }
    if (typeof value[iterator] === 'function' && attempt(stringValue, value) === undefined) {
      return collect(value);
    }
    return typeof value[asyncIterator] === 'function' ? collectLater(value) : value;
  }

  function collect(rows) {
    const list = [];
    for (const row of rows) {
      give(list, list.length, row);
    }
    return list;
  }

  async function collectLater(rows) {
    const list = [];
    for await (const row of rows) {
      give(list, list.length, row);
    }
    return list;
  }

  // Tables: what yields their rows, and their values taken from it.

  // A batch of rows ends early once its texts and bytes have this many units.
  const BATCH_UNITS_MAX = 65536;

  const noRows = { next: () => ({ done: true }) };

  function openTable(value, columns) {
    const known = { __proto__: null };
    for (let index = 0; index < columns.length; index++) {
      known[columns[index]] = true;
    }
    const [rows, isAsync] = iteratorOf(value);
    return { rows, next: rows.next, isAsync, columns, known, count: 0, done: false };
  }

  function iteratorOf(value) {
    if (value === null || value === undefined) {
      return [noRows, false];
    }
    if (typeof value === 'object' && !isView(value) && attempt(stringValue, value) === undefined) {
      if (typeof value[asyncIterator] === 'function') {
        return [value[asyncIterator](), true];
      }
      if (typeof value[iterator] === 'function') {
        return [value[iterator](), false];
      }
    }
    throw new TypeError('a table is an array or another iterable of rows');
  }

  // The values of the next rows, one row after the other.
  function fetchTable(table, most) {
    return table.isAsync ? fetchLater(table, most) : fetchNow(table, most);
  }

  function fetchNow(table, most) {
    const batch = { values: [], units: 0 };
    for (let row = 0; row < most && batch.units < BATCH_UNITS_MAX; row++) {
      if (!takeRow(table, batch, table.next.call(table.rows))) {
        break;
      }
    }
    return batch.values;
  }

  async function fetchLater(table, most) {
    const batch = { values: [], units: 0 };
    for (let row = 0; row < most && batch.units < BATCH_UNITS_MAX; row++) {
      if (!takeRow(table, batch, await table.next.call(table.rows))) {
        break;
      }
    }
    return batch.values;
  }

  function takeRow(table, batch, step) {
    if (step.done) {
      table.done = true;
      return false;
    }
    const row = step.value;
    table.count++;
    if (isArray(row)) {
      takeArray(table, batch, row);
    } else if (typeof row === 'object' && row !== null) {
      takeObject(table, batch, row);
    } else {
      throw new TypeError(`row ${table.count} is neither an object nor an array`);
    }
    return true;
  }

  function takeArray({ columns, count }, batch, row) {
    if (row.length !== columns.length) {
      throw new TypeError(`row ${count} has ${row.length} values for ${columns.length} columns`);
    }
    for (let index = 0; index < columns.length; index++) {
      take(batch, row[index]);
    }
  }

  function takeObject({ columns, known, count }, batch, row) {
    const own = keys(row);
    for (let index = 0; index < own.length; index++) {
      if (known[own[index]] === undefined) {
        throw new TypeError(`row ${count} has a member "${own[index]}", which is no column`);
      }
    }
    for (let index = 0; index < columns.length; index++) {
      const name = columns[index];
      const value = row[name];
      if (value === undefined && !(name in row)) {
        throw new TypeError(`row ${count} has no member "${name}"`);
      }
      take(batch, value);
    }
  }

  function take(batch, value) {
    const { values } = batch;
    values[values.length] = value;
    if (typeof value === 'string') {
      batch.units += value.length;
    } else if (typeof value === 'object' && value !== null) {
      batch.units += isView(value) ? bytesOf(value).length : 256;
    }
  }

  // What was left early ends as it does by leaving a for loop.
  function closeTable(table) {
    if (!table.done && typeof table.rows.return === 'function') {
      table.done = true;
      return table.rows.return();
    }
  }

  return {
    refuse, recordOf, dateOf, scalarOf, rowsOf, show, wellFormed, openTable, fetchTable, closeTable,
  };
})
