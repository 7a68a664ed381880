import collections, os
import test_linking_model as t
from test_linking_model import runner, databases
import admitted
C=collections.Counter()
async def outcome(w):
    n=w.__qualname__
    r=await admitted.outcome(w)
    k=type(r).__name__
    if k=='Admission': k='session' if r.session else 'question' if r.question else 'refused'
    if k=='Linked': k='offer' if r.question else 'linked'
    C[n,k]+=1
    return r
t.outcome=outcome
t.AT_ONCE=int(os.environ.get('A','6')); t.ROUNDS=int(os.environ.get('R','150'))
def test_seq(databases, runner):
    t.settings=lambda **k: __import__('hypothesis').settings(**{**k,'max_examples':int(os.environ.get('E','40'))})
    try: t.test_one_thing_after_the_other(databases, runner)
    finally:
        print(); [print(k,v) for k,v in sorted(C.items())]; C.clear()
import pytest
@pytest.mark.parametrize("linking", t.LINKING)
def test_conc(databases, runner, linking):
    try: t.test_several_things_at_once(databases, runner, linking)
    finally:
        print(); [print(k,v) for k,v in sorted(C.items())]; C.clear()
