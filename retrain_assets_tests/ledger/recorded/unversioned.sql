BEGIN TRANSACTION;
CREATE TABLE events (
	sequence BIGINT NOT NULL, 
	at TEXT NOT NULL, 
	recorded_at TEXT NOT NULL, 
	actor_kind TEXT NOT NULL, 
	actor_name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	model TEXT NOT NULL, 
	retrain TEXT, 
	toggle TEXT, 
	revision_before BIGINT, 
	revision_after BIGINT, 
	reason TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	previous_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (sequence), 
	UNIQUE (previous_hash), 
	UNIQUE (hash)
);
INSERT INTO "events" VALUES(1,'2013-07-01T06:00:00.000000+00:00','2026-11-23T14:22:11.263609+00:00','system','retrain_assets','retrain_launched','flight_delay','2013-07-01',NULL,NULL,NULL,'as planned','{"metric":"psi","threshold":0.2,"trigger":"drift","value":0.31}','0000000000000000000000000000000000000000000000000000000000000000','f694a165e5ac3888492bbf6fefc2946756e6969dda4064a9dbd24ecdfae22ca7');
INSERT INTO "events" VALUES(2,'2013-07-01T06:00:00.000000+00:00','2026-11-23T14:22:11.279247+00:00','system','retrain_assets','gate_evaluated','flight_delay','2013-07-01',NULL,NULL,NULL,'as planned','{"gate":"data","outcome":"pass","verdicts":[{"check":"größe","evidence":null,"message":"5 \"rows\"\n","rows":971684,"value":1e-7}]}','f694a165e5ac3888492bbf6fefc2946756e6969dda4064a9dbd24ecdfae22ca7','2263c7c198341afc9b822e2b6e4cf8fbfe5b036002137f5dc73d7dfe50dce249');
INSERT INTO "events" VALUES(3,'2013-07-01T06:00:00.000000+00:00','2026-11-23T14:22:11.283470+00:00','system','retrain_assets','toggle_registered','flight_delay','2013-07-01','flight_delay-2013-07-01',0,1,'as planned','{"ramp":["shadow",5,25,1e+21]}','2263c7c198341afc9b822e2b6e4cf8fbfe5b036002137f5dc73d7dfe50dce249','36fc461ea67804331b60a0bcc051bbc2854fe155de5f29945033e09751d95164');
INSERT INTO "events" VALUES(4,'2013-07-01T06:00:00.000000+00:00','2026-11-23T14:22:11.300073+00:00','person','ann@flights.example','toggle_held','flight_delay','2013-07-01','flight_delay-2013-07-01',1,2,'wait for “outcomes”','{}','36fc461ea67804331b60a0bcc051bbc2854fe155de5f29945033e09751d95164','5d78c3d428b903b867ca8331ae71af54a5f7e549d448090efe5eb08e93e817f4');
INSERT INTO "events" VALUES(5,'2013-07-01T06:00:00.000000+00:00','2026-11-23T14:22:11.313137+00:00','person','ann@flights.example','freeze_declared','*',NULL,NULL,NULL,NULL,'as planned','{"from":"2013-07-04","to":"2013-07-05"}','5d78c3d428b903b867ca8331ae71af54a5f7e549d448090efe5eb08e93e817f4','fdea49264e59038ac21261612184d0e1963806a7ec639b31c6be457664971d06');
CREATE TABLE head (
	id INTEGER NOT NULL, 
	sequence BIGINT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "head" VALUES(1,5,'fdea49264e59038ac21261612184d0e1963806a7ec639b31c6be457664971d06');
CREATE TABLE projections (
	name TEXT NOT NULL, 
	sequence BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "projections" VALUES('flags',4);
INSERT INTO "projections" VALUES('registry',0);
CREATE INDEX events_of_model ON events (model, sequence);
CREATE INDEX events_of_toggle ON events (toggle, sequence);
COMMIT;
