//! Geo commands. ANY answers with whatever it finds first, so its members are not compared.

pub(super) const TEMPLATES: &[&str] = &[
    "GEOADD {geo} (NX|XX)? CH? ({longitude} {latitude} {member})+",
    "GEOADD {geo} ({longitude} {latitude} {member})+",
    "GEOPOS {geo} {member}*",
    "GEOHASH {geo} {member}*",
    "GEODIST {geo} {member} {member} {unit}?",
    "GEOSEARCH {geo} (FROMMEMBER {member}|FROMLONLAT {longitude} {latitude}) (BYRADIUS {radius} {unit}|BYBOX {radius} {radius} {unit}) (ASC|DESC)? (COUNT {count})? WITHCOORD? WITHDIST? WITHHASH?",
    "GEOSEARCH {geo} FROMLONLAT {longitude} {latitude} BYRADIUS {radius} km (COUNT {count} ANY)?",
    "GEOSEARCHSTORE {geo} {geo} (FROMMEMBER {member}|FROMLONLAT {longitude} {latitude}) (BYRADIUS {radius} {unit}|BYBOX {radius} {radius} {unit}) (ASC|DESC)? (COUNT {count})?",
    "GEOSEARCHSTORE {zset} {geo} FROMMEMBER {member} BYRADIUS {radius} {unit} STOREDIST",
    "GEORADIUS {geo} {longitude} {latitude} {radius} {unit} WITHCOORD? WITHDIST? WITHHASH? (COUNT {count})? (ASC|DESC)? (STORE {geo}|STOREDIST {zset})?",
    "GEORADIUSBYMEMBER {geo} {member} {radius} {unit} WITHDIST? (COUNT {count})? (ASC|DESC)?",
    "(GEORADIUS_RO {geo} {longitude} {latitude}|GEORADIUSBYMEMBER_RO {geo} {member}) {radius} {unit} (ASC|DESC)?",
    "ZRANGE {geo} 0 -1 WITHSCORES",
    "ZREM {geo} {member}",
];
