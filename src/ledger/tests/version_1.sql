-- The ledger that a program of schema version 1 wrote: a policy, a token, verdicts of three kinds, two requests,
-- an approval, a revocation and an admitted tag. Written by SQLite's .dump; never changed.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE repositories (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
INSERT INTO repositories VALUES(1,'up.test/lib/alpine');
CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        UNIQUE (repository, digest)
    ) STRICT;
INSERT INTO records VALUES(1,1,'sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50','{"announced":{"enforced":true,"rule":"signed","verdict":"admit"},"decided_at":"2026-11-20T10:00:00Z","evidence":{"gathered_at":null,"manifest":{"found":{"artifact_type":null,"children":[],"foreign_layer":null,"image_bytes":7,"is_index":false,"layers":1,"malformed":null,"media_type":"application/vnd.oci.image.manifest.v1+json","platforms":[],"size":500}},"signatures":"not-gathered"},"first_seen":"2026-11-20T10:00:00Z","judgement":{"checks":[],"enforced":true,"rule":"signed","verdict":{"state":"admit"}},"media_type":"application/vnd.oci.image.manifest.v1+json","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","request":null,"size":500,"standing":null,"subject":{"digest":"sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50","name":"up.test/lib/alpine"}}',X'aad0afc4ab03e2d44deeb17442359a3072b3aef03e73def2e055ebb0e695ab75');
INSERT INTO records VALUES(2,1,'sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70','{"announced":{"enforced":true,"rule":"signed","verdict":"admit"},"decided_at":"2026-11-20T10:01:00Z","evidence":{"gathered_at":null,"manifest":{"found":{"artifact_type":null,"children":[],"foreign_layer":null,"image_bytes":7,"is_index":false,"layers":1,"malformed":null,"media_type":"application/vnd.oci.image.manifest.v1+json","platforms":[],"size":500}},"signatures":"not-gathered"},"first_seen":"2026-11-20T10:00:00Z","judgement":{"checks":[],"enforced":true,"rule":"signed","verdict":{"state":"admit"}},"media_type":"application/vnd.oci.image.manifest.v1+json","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","request":"R-1","size":500,"standing":{"at":"2026-11-20T10:01:00Z","by":"alice","expires":null,"reason":"because alice says so","state":"approved"},"subject":{"digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","name":"up.test/lib/alpine"}}',X'6c867289a07ca7806e84eed8b7c302097584cd6952c486da5721ed43d390d56a');
INSERT INTO records VALUES(3,1,'sha256:d5688a52d55a02ec4aea5ec1eadfffe1c9e0ee6a4ddbe2377f98326d42dfc975','{"announced":{"enforced":true,"rule":"signed","verdict":"deny"},"decided_at":"2026-11-20T10:00:00Z","evidence":{"gathered_at":null,"manifest":{"found":{"artifact_type":null,"children":[],"foreign_layer":null,"image_bytes":7,"is_index":false,"layers":1,"malformed":null,"media_type":"application/vnd.oci.image.manifest.v1+json","platforms":[],"size":500}},"signatures":"not-gathered"},"first_seen":"2026-11-20T10:00:00Z","judgement":{"checks":[],"enforced":true,"rule":"signed","verdict":{"reasons":[{"code":"unsigned","remedy":"ask","text":"Unsigned"}],"state":"deny"}},"media_type":"application/vnd.oci.image.manifest.v1+json","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","request":null,"size":500,"standing":null,"subject":{"digest":"sha256:d5688a52d55a02ec4aea5ec1eadfffe1c9e0ee6a4ddbe2377f98326d42dfc975","name":"up.test/lib/alpine"}}',X'1a71e7efa046e74cb3648ac39486d3784ef55ab24853390710bf9bc55cebe4e2');
INSERT INTO records VALUES(4,1,'sha256:5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431','{"announced":null,"decided_at":"2026-11-20T10:01:00Z","evidence":{"gathered_at":null,"manifest":"not-gathered","signatures":"not-gathered"},"first_seen":"2026-11-20T10:01:00Z","judgement":null,"media_type":null,"policy":null,"request":null,"size":null,"standing":{"at":"2026-11-20T10:01:00Z","by":"bob","reason":"because bob says so","state":"revoked"},"subject":{"digest":"sha256:5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431","name":"up.test/lib/alpine"}}',X'309ce3eddb0cb263b51bfdba921e9f86c420b3d0b9ceffbd8d891a204cb4dfd1');
CREATE TABLE grants (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        record INTEGER NOT NULL REFERENCES records (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (repository, digest, record)
    ) STRICT, WITHOUT ROWID;
INSERT INTO grants VALUES(1,'sha256:0cd6e10fe91ca4cffc9abf86ba395c75f72f1d3b9abd21da90d1ed2c35c70f72',3,'[{"digest":"sha256:0cd6e10fe91ca4cffc9abf86ba395c75f72f1d3b9abd21da90d1ed2c35c70f72","kind":"layer","media_type":"application/vnd.oci.image.layer.v1.tar","platform":{"architecture":"amd64","os":"linux"},"size":7}]',X'1910d51b87e8d532c4db4a0b19e56cb88fe64323ae352dea09af6b4313e59af9');
INSERT INTO grants VALUES(1,'sha256:ce43c3353a7ad7aac3408cad0bf921b6a7dda89be75d9cb2b3b5a152cefc8afd',1,'[{"digest":"sha256:ce43c3353a7ad7aac3408cad0bf921b6a7dda89be75d9cb2b3b5a152cefc8afd","kind":"layer","media_type":"application/vnd.oci.image.layer.v1.tar","platform":{"architecture":"amd64","os":"linux"},"size":7}]',X'7b05541ca70b5accca78cc9437e16901f9d306eb0b400b097160b53327a1c0b8');
INSERT INTO grants VALUES(1,'sha256:da9e9bdf4edcdb980b97e7b69330259feeea38b4e684bf34f684b791f1c1b18c',2,'[{"digest":"sha256:da9e9bdf4edcdb980b97e7b69330259feeea38b4e684bf34f684b791f1c1b18c","kind":"layer","media_type":"application/vnd.oci.image.layer.v1.tar","platform":{"architecture":"amd64","os":"linux"},"size":7}]',X'de060198db80733c9f76ab5f76ca4eb9be3c632d182deb47322d6c8a06a18401');
CREATE TABLE tags (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        tag TEXT NOT NULL,
        admitted INTEGER NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (repository, tag)
    ) STRICT, WITHOUT ROWID;
INSERT INTO tags VALUES(1,'1',1,'{"admitted":"sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50","moves":[{"digest":"sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50","seen_at":"2026-11-20T10:01:00Z"}]}',X'5b0e56b22f15a4d31a5950cd749d57c507bdc6ba4f8d48ea70f3b50a6a9e161d');
CREATE TABLE tag_digests (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (repository, digest, tag)
    ) STRICT, WITHOUT ROWID;
INSERT INTO tag_digests VALUES(1,'sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50','1');
CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        filed_by TEXT NOT NULL,
        last_asked INTEGER NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
INSERT INTO requests VALUES(1,'up.test/lib/alpine@sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70','up.test/lib/alpine','approved','node-1',1795168800000,'{"clients":[{"client":"node-1","last_asked":"2026-11-20T10:00:00Z","pulls":1}],"decided_at":"2026-11-20T10:01:00Z","decided_by":"alice","decision_reason":"because alice says so","digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","filed_by":"node-1","first_asked":"2026-11-20T10:00:00Z","id":"R-1","last_asked":"2026-11-20T10:00:00Z","name":"up.test/lib/alpine","note":null,"pulls":1,"reasons":[{"code":"approval-needed","remedy":"ask","text":"ApprovalNeeded"}],"reference":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","rule":"asked","state":"approved","tag":null,"unlisted_pulls":0}',X'9f992be1a50049e2fd52dedc9f36c391ce5b7030ba190d2da00af2dcc8548c42');
INSERT INTO requests VALUES(2,'up.test/lib/alpine@sha256:8005f02d43fa06e7d0585fb64c961d57e318b27a145c857bcd3a6bdb413ff7fc','up.test/lib/alpine','pending','node-2',1795168800000,'{"clients":[{"client":"node-2","last_asked":"2026-11-20T10:00:00Z","pulls":1}],"decided_at":null,"decided_by":null,"decision_reason":null,"digest":"sha256:8005f02d43fa06e7d0585fb64c961d57e318b27a145c857bcd3a6bdb413ff7fc","filed_by":"node-2","first_asked":"2026-11-20T10:00:00Z","id":"R-2","last_asked":"2026-11-20T10:00:00Z","name":"up.test/lib/alpine","note":null,"pulls":1,"reasons":[{"code":"approval-needed","remedy":"ask","text":"ApprovalNeeded"}],"reference":"sha256:8005f02d43fa06e7d0585fb64c961d57e318b27a145c857bcd3a6bdb413ff7fc","rule":"asked","state":"pending","tag":null,"unlisted_pulls":0}',X'f5d6d37bb59be03cedfbded3ff60858582bdf539bf8989396c693fbddcd6b7ce');
CREATE TABLE decisions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        record INTEGER NOT NULL REFERENCES records (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
INSERT INTO decisions VALUES(1,2,'{"at":"2026-11-20T10:01:00Z","by":"alice","expires":null,"policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","reason":"because alice says so","request":"R-1","subject":{"digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","name":"up.test/lib/alpine"},"verb":"approve"}',X'd449559042a41c79964adae70769f5ce1c183d493eaa11a4057eebef78968696');
INSERT INTO decisions VALUES(2,4,'{"at":"2026-11-20T10:01:00Z","by":"bob","expires":null,"policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","reason":"because bob says so","request":null,"subject":{"digest":"sha256:5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431","name":"up.test/lib/alpine"},"verb":"revoke"}',X'fa176e097c8010a7a2907fd8fac7d959d90ec93c2fdc0a3995e059409c311da9');
CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO tokens VALUES('ci','{"hash":"sha256:5a3bf4176766ce1b54b71098e5b9904407e943660ae027e80432eac30e5e7244","row":{"created_at":"2026-11-20T10:00:00Z","name":"ci","role":"admin"}}',X'3deb7ccc53937ba893d59a47e1dcf318ccfb0872430d7d832847d6f311b90283');
CREATE TABLE policies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
INSERT INTO policies VALUES(1,'{"id":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","name":"site","revision":4,"since":"2026-11-20T10:00:00Z"}',X'48244a60d30d13dd01ac67f7680ebdcb9fc50eb5b1b3be4a0284b4c99ec6e5ce');
CREATE TABLE pulls (
        id INTEGER PRIMARY KEY,
        minute INTEGER NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        client TEXT NOT NULL,
        outcome TEXT NOT NULL,
        count INTEGER NOT NULL
    ) STRICT;
INSERT INTO pulls VALUES(1,1795168860000,'up.test/lib/alpine','sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50','node-1','admitted',1);
CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY,
        body TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
INSERT INTO audit VALUES(1,'{"at":"2026-11-20T10:00:00Z","by":"server","details":{"id":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","name":"site","revision":"4"},"kind":"policy-loaded","sequence":1}',X'0a79acceb24814409609df6f1c3be1e2354dacd29e2214f36bf56b9b76a0dd04',X'f4910d8731db921f31b9550e1916d78b1421fcdbf9de710e1ffaa4b2bb67aedc');
INSERT INTO audit VALUES(2,'{"at":"2026-11-20T10:00:00Z","by":"first-run","details":{"role":"admin","token":"ci"},"kind":"token-created","sequence":2}',X'f4910d8731db921f31b9550e1916d78b1421fcdbf9de710e1ffaa4b2bb67aedc',X'd7b9a67274a749056df12362b71011def75321edd8eb7ea7292e113089b25730');
INSERT INTO audit VALUES(3,'{"at":"2026-11-20T10:00:00Z","by":"gate","details":{"enforced":"true","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","rule":"signed","verdict":"admit"},"kind":"judged","sequence":3,"subject":{"digest":"sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50","name":"up.test/lib/alpine"}}',X'd7b9a67274a749056df12362b71011def75321edd8eb7ea7292e113089b25730',X'55d3136743f5af4c641e25c71de71c3e8ac1f319ab4275696f331f331b6a7335');
INSERT INTO audit VALUES(4,'{"at":"2026-11-20T10:00:00Z","by":"gate","details":{"enforced":"true","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","reasons":"ApprovalNeeded","rule":"signed","verdict":"pending"},"kind":"judged","sequence":4,"subject":{"digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","name":"up.test/lib/alpine"}}',X'55d3136743f5af4c641e25c71de71c3e8ac1f319ab4275696f331f331b6a7335',X'a313a0b9f053f9f9f7c379127c8093eadc2f60dde58ef0af43cf8fd05fa690ab');
INSERT INTO audit VALUES(5,'{"at":"2026-11-20T10:00:00Z","by":"gate","details":{"enforced":"true","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","reasons":"Unsigned","rule":"signed","verdict":"deny"},"kind":"judged","sequence":5,"subject":{"digest":"sha256:d5688a52d55a02ec4aea5ec1eadfffe1c9e0ee6a4ddbe2377f98326d42dfc975","name":"up.test/lib/alpine"}}',X'a313a0b9f053f9f9f7c379127c8093eadc2f60dde58ef0af43cf8fd05fa690ab',X'c187b7e7ade40098c1224e6fbe54c01169cf661e696bfc21967d153b468aeabf');
INSERT INTO audit VALUES(6,'{"at":"2026-11-20T10:00:00Z","by":"node-1","details":{"image":"up.test/lib/alpine sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","state":"pending"},"kind":"request-filed","request":"R-1","sequence":6,"subject":{"digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","name":"up.test/lib/alpine"}}',X'c187b7e7ade40098c1224e6fbe54c01169cf661e696bfc21967d153b468aeabf',X'4c4fad37ca92d60aecf37c0ee95827fc44a68b1f67e8a2c31c927281998100c4');
INSERT INTO audit VALUES(7,'{"at":"2026-11-20T10:00:00Z","by":"node-2","details":{"image":"up.test/lib/alpine sha256:8005f02d43fa06e7d0585fb64c961d57e318b27a145c857bcd3a6bdb413ff7fc","state":"pending"},"kind":"request-filed","request":"R-2","sequence":7,"subject":{"digest":"sha256:8005f02d43fa06e7d0585fb64c961d57e318b27a145c857bcd3a6bdb413ff7fc","name":"up.test/lib/alpine"}}',X'4c4fad37ca92d60aecf37c0ee95827fc44a68b1f67e8a2c31c927281998100c4',X'9ea5f958ac75dd3c058c8c4050028d8358bbab51c7f98880cf31717dfc2c239f');
INSERT INTO audit VALUES(8,'{"at":"2026-11-20T10:01:00Z","by":"alice","details":{"policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812"},"kind":"approved","reason":"because alice says so","request":"R-1","sequence":8,"subject":{"digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","name":"up.test/lib/alpine"}}',X'9ea5f958ac75dd3c058c8c4050028d8358bbab51c7f98880cf31717dfc2c239f',X'd9604ad4de37d24a374340110d4e6974b085e75884f7deba9b7d94f6ac32eb14');
INSERT INTO audit VALUES(9,'{"at":"2026-11-20T10:01:00Z","by":"gate","details":{"enforced":"true","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","rule":"signed","verdict":"admit"},"kind":"judged","sequence":9,"subject":{"digest":"sha256:cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","name":"up.test/lib/alpine"}}',X'd9604ad4de37d24a374340110d4e6974b085e75884f7deba9b7d94f6ac32eb14',X'64a5e06eb4ae4bb6e8a38c2f1438dd9ea1f842e0ed11392f8667a2ec2478de81');
INSERT INTO audit VALUES(10,'{"at":"2026-11-20T10:01:00Z","by":"bob","details":{"policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812"},"kind":"revoked","reason":"because bob says so","sequence":10,"subject":{"digest":"sha256:5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431","name":"up.test/lib/alpine"}}',X'64a5e06eb4ae4bb6e8a38c2f1438dd9ea1f842e0ed11392f8667a2ec2478de81',X'adbb40c4b0a0f3b41ce6af3e96d40747b09c7a324d866fdc7da6de11bf85780e');
INSERT INTO audit VALUES(11,'{"at":"2026-11-20T10:01:00Z","by":"mirror","details":{"tag":"1"},"kind":"tag-admitted","sequence":11,"subject":{"digest":"sha256:cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50","name":"up.test/lib/alpine"}}',X'adbb40c4b0a0f3b41ce6af3e96d40747b09c7a324d866fdc7da6de11bf85780e',X'd4568af963fbbc7da6ac4c69a39ee96c9b5c0b0d2db7f906f2f4cba260d4fc97');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('policies',1);
INSERT INTO sqlite_sequence VALUES('requests',2);
INSERT INTO sqlite_sequence VALUES('decisions',2);
CREATE INDEX grants_by_record ON grants (record);
CREATE INDEX requests_by_key ON requests (key, id);
CREATE INDEX requests_by_state ON requests (state, filed_by);
CREATE INDEX decisions_by_record ON decisions (record, id);
CREATE INDEX pulls_by_subject ON pulls (name, digest, id);
COMMIT;
PRAGMA application_id = 1347572817;
PRAGMA user_version = 1;
