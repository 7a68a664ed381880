"""every single switch point of every race"""
import sys, asyncio, time
t0=time.time()
sys.path[:0]=['/tmp/three/tests','/tmp/three']
import pytest
import test_linking_races as t
from admitted import broken

@pytest.mark.parametrize("prepare", t.RACES)
async def test_all(postgres_url, prepare):
    house = t.House(postgres_url)
    bad=[]; t0=time.time()
    try:
        for order in (1,-1):
            for at in range(1, 60):
                house.over=False
                race = await prepare(house)
                first, second = (race.one, race.other)[::order]
                n0=len(house.deadlocks)
                try:
                    out=(await t.interrupted(house, first, second, at))[::order]
                    if not race.right(*out): bad.append((order, at, out))
                except Exception as e:
                    bad.append((order, at, repr(e)[:300]))
                print(prepare.__name__, order, at, round(time.time()-t0,3)); t0=time.time()
                if len(house.deadlocks)>n0: bad.append((order, at, 'deadlock', house.deadlocks[n0:]))
                b=await broken(house.databases[0])
                if b: bad.append((order,at,b)); break
                if house.over: break
    finally:
        await house.close()
    assert not bad, "\n".join(map(str,bad))
