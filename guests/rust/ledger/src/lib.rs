//! Money that moves between accounts: transactions, batches, rows as structs, and rows
//! one by one. It makes its own tables.
//!
//! ```sql
//! ALTER FUNCTION set_up GRANT CAPABILITY DATABASE_EXECUTE;
//! ALTER FUNCTION open_accounts GRANT CAPABILITY DATABASE_WRITE('account');
//! ALTER FUNCTION pay GRANT CAPABILITY DATABASE_READ('account'), DATABASE_WRITE('account');
//! ALTER FUNCTION pay GRANT CAPABILITY DATABASE_READ('payment'), DATABASE_WRITE('payment');
//! ALTER FUNCTION payments GRANT CAPABILITY DATABASE_READ('payment');
//! ALTER FUNCTION richest GRANT CAPABILITY DATABASE_READ('account');
//! ```

#[heliosdb::procedures]
mod ledger {
    use heliosdb::{Error, FromRow, Result, bail, database, ensure, params};

    /// Money that was paid.
    #[derive(FromRow)]
    pub struct Payment {
        pub id: i64,
        pub payer: String,
        pub payee: String,
        pub amount: i64,
    }

    /// Makes the tables, if they are not there.
    pub fn set_up() -> Result<()> {
        database::change_schema(
            "CREATE TABLE IF NOT EXISTS account (owner TEXT PRIMARY KEY, balance INTEGER)",
        )?;
        database::change_schema(
            "CREATE TABLE IF NOT EXISTS payment (id INTEGER PRIMARY KEY, payer TEXT, payee TEXT, \
             amount INTEGER)",
        )
    }

    /// Opens an account for each owner, a line of the text each, or for none if one of
    /// them has one already; returns how many.
    pub fn open_accounts(owners: &str, balance: i64) -> Result<i64> {
        let owners = owners.lines().filter(|line| !line.is_empty());
        let lists: Vec<_> = owners
            .map(|owner| params![owner, balance].to_vec())
            .collect();
        let opened = database::batch("INSERT INTO account VALUES (?, ?)", &lists)?;
        Ok(opened as i64)
    }

    /// Pays, and returns the payment's number. A payment that cannot be made leaves no
    /// trace, whatever the caller makes of it.
    pub fn pay(payer: &str, payee: &str, amount: i64) -> Result<Option<i64>> {
        ensure!(amount > 0, "an amount is positive, not {amount}");
        let paid = database::transaction(|| {
            move_money(payer, -amount)?;
            move_money(payee, amount)?;
            let sql = "INSERT INTO payment (payer, payee, amount) VALUES (?, ?, ?) RETURNING id";
            let written = database::execute(sql, params![payer, payee, amount])?;
            written.returned[0].get("id")
        });
        match paid {
            Err(Error::Failed(_)) => Ok(None),
            paid => paid.map(Some),
        }
    }

    fn move_money(owner: &str, amount: i64) -> Result<()> {
        let sql = "UPDATE account SET balance = balance + ? WHERE owner = ? RETURNING balance";
        let written = database::execute(sql, params![amount, owner])?;
        match written.returned.read::<(i64,)>()?[..] {
            [] => bail!("\"{owner}\" has no account"),
            [(balance,), ..] => ensure!(balance >= 0, "\"{owner}\" has too little"),
        }
        Ok(())
    }

    /// What somebody paid and was paid.
    pub fn payments(owner: &str) -> Result<Vec<Payment>> {
        let sql = "SELECT id, payer, payee, amount FROM payment WHERE payer = $1 OR payee = $1 \
             ORDER BY id";
        database::query(sql, params![owner])?.read()
    }

    /// The owner with the most, by looking at each of them.
    pub fn richest() -> Result<Option<String>> {
        let mut richest: Option<(String, i64)> = None;
        let sql = "SELECT owner, balance FROM account ORDER BY owner";
        for account in database::stream::<(String, i64)>(sql, params![])? {
            let (owner, balance) = account?;
            if richest.as_ref().is_none_or(|(_, most)| balance > *most) {
                richest = Some((owner, balance));
            }
        }
        Ok(richest.map(|(owner, _)| owner))
    }
}
