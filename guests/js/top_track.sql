-- The track that a customer bought most often, as JSON, over the Chinook schema.
--
-- ALTER FUNCTION js_top_track GRANT CAPABILITY DATABASE_READ('Invoice');
-- ALTER FUNCTION js_top_track GRANT CAPABILITY DATABASE_READ('InvoiceLine');
-- ALTER FUNCTION js_top_track GRANT CAPABILITY DATABASE_READ('Track');
-- ALTER FUNCTION js_top_track GRANT CAPABILITY DATABASE_READ('Album');
-- ALTER FUNCTION js_top_track GRANT CAPABILITY DATABASE_READ('Artist');
--
-- SELECT js_top_track(1);

CREATE FUNCTION js_top_track(customer BIGINT) RETURNS JSON LANGUAGE javascript AS $$
function js_top_track(customer) {
  const { rows } = heliosdb.query(
    `SELECT t.TrackId AS id, t.Name AS name, r.Name AS artist, SUM(l.Quantity) AS times
       FROM Invoice i
       JOIN InvoiceLine l ON l.InvoiceId = i.InvoiceId
       JOIN Track t ON t.TrackId = l.TrackId
       LEFT JOIN Album a ON a.AlbumId = t.AlbumId
       LEFT JOIN Artist r ON r.ArtistId = a.ArtistId
      WHERE i.CustomerId = ?
      GROUP BY t.TrackId, t.Name, r.Name
      ORDER BY times DESC, id LIMIT 1`,
    [customer],
  );
  if (rows.length === 0) {
    throw new Error(`customer ${customer} has bought nothing`);
  }
  return rows[0];
}
$$;
