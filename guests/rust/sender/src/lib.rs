//! Sends what it is given as SQL, and leaves open what it opens. Each function needs
//! what its argument does.

#[heliosdb::procedures]
mod sender {
    use heliosdb::database::Row;
    use heliosdb::{Result, database, params};

    /// The first column of each row, joined by commas.
    pub fn send_query(sql: &str) -> Result<String> {
        let rows = database::query(sql, params![])?.read::<Row>()?;
        let values: Vec<String> = rows
            .iter()
            .map(|row| format!("{:?}", row.values()[0]))
            .collect();
        Ok(values.join(","))
    }

    /// A text with a literal that is a constant: it lies in this component's data.
    pub fn send_constant() -> Result<Option<i64>> {
        let sql = "SELECT count(*) FROM users WHERE name <> 'nobody' AND id < 10";
        let count = database::query_one(sql, params![])?;
        count.map(|row| row.get(0)).transpose()
    }

    /// What nobody should write: input in the text of a statement.
    pub fn send_concatenated(name: &str) -> Result<Option<i64>> {
        let sql = format!("SELECT count(*) FROM users WHERE name = '{name}'");
        let count = database::query_one(&sql, params![])?;
        count.map(|row| row.get(0)).transpose()
    }

    /// Input in the text that is a name, which no parameter can be.
    pub fn send_ordered(column: &str) -> Result<Option<String>> {
        let sql = format!("SELECT name FROM users ORDER BY {column} DESC LIMIT ?");
        let first = database::query_one(&sql, params![1])?;
        first.map(|row| row.get(0)).transpose()
    }

    /// How many rows changed.
    pub fn send_execute(sql: &str) -> Result<i64> {
        database::execute(sql, params![]).map(|effect| effect.affected_rows as i64)
    }

    /// A change of the schema.
    pub fn send_change(sql: &str) -> Result<()> {
        database::change_schema(sql)
    }

    /// Writes in a transaction, a cursor and a statement that nobody ever drops.
    pub fn leave_open() -> Result<i64> {
        let insert = database::prepare_write("INSERT INTO users (name) VALUES (?)")?;
        let kept = insert.execute(params!["kept"])?.last_insert_id;
        let stream = database::stream::<(i64,)>("SELECT id FROM users", params![])?;
        let undone = database::transaction(|| {
            insert.execute(params!["undone"])?;
            // The panic hook has no part in this: nothing unwinds.
            core::mem::forget(database::prepare("SELECT id FROM users")?);
            Err::<(), _>("undone".into())
        });
        assert!(undone.is_err());
        core::mem::forget((insert, stream));
        Ok(kept.unwrap_or_default())
    }
}
