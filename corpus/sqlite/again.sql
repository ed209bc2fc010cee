PRAGMA journal_mode;
PRAGMA mmap_size = 268435456;
PRAGMA integrity_check;
SELECT name, id FROM rows WHERE name BETWEEN 'row 10000' AND 'row 10010' ORDER BY name;
SELECT count(*) FROM rows AS a JOIN rows AS b ON a.id = b.id + 1;
CREATE TEMP TABLE sorted AS SELECT payload || hex(id) AS text FROM rows ORDER BY weight DESC;
SELECT count(DISTINCT text) FROM sorted;
