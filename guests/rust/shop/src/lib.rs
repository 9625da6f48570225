//! A music shop's procedures, over the Chinook schema.
//!
//! ```sql
//! ALTER FUNCTION top_track GRANT CAPABILITY DATABASE_READ('Invoice');
//! ALTER FUNCTION top_track GRANT CAPABILITY DATABASE_READ('InvoiceLine');
//! ALTER FUNCTION top_track GRANT CAPABILITY DATABASE_READ('Track');
//! ALTER FUNCTION top_track GRANT CAPABILITY DATABASE_READ('Album');
//! ALTER FUNCTION top_track GRANT CAPABILITY DATABASE_READ('Artist');
//! ALTER FUNCTION customer_spend GRANT CAPABILITY DATABASE_READ('Invoice');
//! ALTER FUNCTION playlist GRANT CAPABILITY DATABASE_READ('Playlist');
//! ALTER FUNCTION rename_playlist GRANT CAPABILITY DATABASE_READ('Playlist');
//! ALTER FUNCTION rename_playlist GRANT CAPABILITY DATABASE_WRITE('Playlist');
//! ```

#[heliosdb::procedures]
mod shop {
    use heliosdb::{Json, Result, bail, database, ensure, log, params};

    /// A track that a customer bought.
    pub struct Track {
        pub id: i64,
        pub name: String,
        pub artist: Option<String>,
        pub times: i64,
    }

    /// The track that a customer bought most often; of several, the oldest.
    pub fn top_track(customer: i64) -> Result<Track> {
        let sql = "SELECT t.TrackId AS id, t.Name AS name, r.Name AS artist, SUM(l.Quantity) AS times \
            FROM Invoice i \
            JOIN InvoiceLine l ON l.InvoiceId = i.InvoiceId \
            JOIN Track t ON t.TrackId = l.TrackId \
            LEFT JOIN Album a ON a.AlbumId = t.AlbumId \
            LEFT JOIN Artist r ON r.ArtistId = a.ArtistId \
            WHERE i.CustomerId = ? \
            GROUP BY t.TrackId, t.Name, r.Name ORDER BY times DESC, id LIMIT 1";
        let Some(row) = database::query_one(sql, params![customer])? else {
            bail!("customer {customer} has bought nothing");
        };
        Ok(Track {
            id: row.get("id")?,
            name: row.get("name")?,
            artist: row.get("artist")?,
            times: row.get("times")?,
        })
    }

    /// What a customer has spent; NULL if nothing.
    pub fn customer_spend(customer: i64) -> Result<Option<f64>> {
        let sql = "SELECT CAST(SUM(Total) AS DOUBLE PRECISION) AS spent \
            FROM Invoice WHERE CustomerId = ?";
        match database::query_one(sql, params![customer])? {
            Some(row) => row.get("spent"),
            None => Ok(None),
        }
    }

    /// A playlist as `{"id": 1, "name": "Music"}`, made by the database.
    pub fn playlist(id: i64) -> Result<Option<Json>> {
        let sql = "SELECT json_object('id', PlaylistId, 'name', Name) AS playlist \
            FROM Playlist WHERE PlaylistId = ?";
        let row = database::query_one(sql, params![id])?;
        row.map(|row| row.get("playlist")).transpose()
    }

    /// Renames a playlist, and returns how many rows that changed.
    pub fn rename_playlist(id: i64, name: &str) -> Result<i64> {
        let name = checked_name(name)?;
        let sql = "UPDATE Playlist SET Name = ? WHERE PlaylistId = ?";
        let changed = database::execute(sql, params![name, id])?.affected_rows;
        ensure!(changed == 1, "there is no playlist {id}");
        log::info(&format!("playlist {id} is now \"{name}\""));
        Ok(changed as i64)
    }

    /// A name as it will be stored: the column holds 120 characters.
    fn checked_name(name: &str) -> Result<&str> {
        let name = name.trim();
        ensure!(!name.is_empty(), "a playlist's name may not be empty");
        let length = name.chars().count();
        ensure!(
            length <= 120,
            "a playlist's name has at most 120 characters, not {length}"
        );
        Ok(name)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_name_is_trimmed_and_bounded() {
            assert_eq!(checked_name(" Jazz "), Ok("Jazz"));
            assert!(checked_name(" ").is_err());
            assert!(checked_name(&"x".repeat(121)).is_err());
        }
    }
}
