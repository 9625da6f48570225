-- Adds a track to a playlist, over the Chinook schema; false if it is there already.
--
-- ALTER FUNCTION js_add_to_playlist GRANT CAPABILITY DATABASE_READ('Playlist');
-- ALTER FUNCTION js_add_to_playlist GRANT CAPABILITY DATABASE_READ('Track');
-- ALTER FUNCTION js_add_to_playlist GRANT CAPABILITY DATABASE_READ('PlaylistTrack');
-- ALTER FUNCTION js_add_to_playlist GRANT CAPABILITY DATABASE_WRITE('PlaylistTrack');
--
-- SELECT js_add_to_playlist(18, 262);

CREATE FUNCTION js_add_to_playlist(playlist BIGINT, track BIGINT) RETURNS BOOLEAN LANGUAGE javascript AS $$
function js_add_to_playlist(playlist, track) {
  // A message of our own beats "FOREIGN KEY constraint failed", and SQLite
  // enforces foreign keys only where they are switched on.
  mustExist('playlist', 'SELECT PlaylistId FROM Playlist WHERE PlaylistId = ?', playlist);
  mustExist('track', 'SELECT TrackId FROM Track WHERE TrackId = ?', track);
  const there = heliosdb.query(
    'SELECT TrackId FROM PlaylistTrack WHERE PlaylistId = ? AND TrackId = ?',
    [playlist, track],
  );
  if (there.rowCount > 0) {
    return false;
  }
  const { rowCount } = heliosdb.execute(
    'INSERT INTO PlaylistTrack (PlaylistId, TrackId) VALUES (?, ?)',
    [playlist, track],
  );
  return rowCount === 1;
}

function mustExist(what, sql, id) {
  if (heliosdb.query(sql, [id]).rowCount === 0) {
    throw new Error(`there is no ${what} ${id}`);
  }
}
$$;
