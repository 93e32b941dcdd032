"""A small population, made through LiteLLM's own API: a budget, an organization, a team with a member, a tag, a customer and nine keys."""
from api import call, MASTER_KEY


def seed(url, prefix):
    """Everything is named by the prefix. Returns the raw keys by name, and which requests were refused: some releases have organizations
    and tags behind a licence, and the rest does without."""
    refused = {}

    def post(path, body):
        status, answer = call(url, path, body, MASTER_KEY)
        if status != 200:
            refused[path] = '%s: %s' % (status, str(answer)[:200])
        return status == 200 and answer

    def name(what):
        return '%s-%s' % (prefix, what)

    post('/budget/new', {'budget_id': name('budget'), 'max_budget': 7.0, 'soft_budget': 5.0, 'budget_duration': '1d'})
    organization = post('/organization/new', {'organization_id': name('org'), 'organization_alias': prefix + ' org', 'max_budget': 50.0, 'budget_duration': '30d', 'models': []})
    post('/user/new', {'user_id': name('user'), 'user_email': prefix + '@example.invalid', 'user_role': 'internal_user', 'max_budget': 20.0, 'budget_duration': '30d', 'auto_create_key': False})
    post('/user/new', {'user_id': name('viewer'), 'user_role': 'proxy_admin_viewer', 'auto_create_key': False})
    team = {'team_id': name('team'), 'team_alias': prefix + ' team', 'max_budget': 30.0, 'budget_duration': '30d', 'models': []}
    post('/team/new', {**team, 'organization_id': name('org')} if organization else team)
    post('/team/member_add', {'team_id': name('team'), 'member': {'role': 'user', 'user_id': name('user')}, 'max_budget_in_team': 12.0})
    post('/tag/new', {'name': name('tag'), 'description': 'synthetic', 'max_budget': 9.0, 'budget_duration': '1d'})
    post('/customer/new', {'user_id': name('customer'), 'max_budget': 4.0, 'budget_duration': '1d'})

    keys = {}
    for key, body in {
        'personal': {'user_id': name('user'), 'max_budget': 1.5, 'budget_duration': '1h', 'metadata': {'a': 1}},
        'team': {'team_id': name('team'), 'max_budget': 10.0, 'budget_duration': '30d'},
        'member': {'team_id': name('team'), 'user_id': name('user'), 'max_budget': 10.0},
        'windows': {'budget_limits': [{'budget_duration': '1h', 'max_budget': 1.0}, {'budget_duration': '1d', 'max_budget': 5.0}]},
        'by-budget-id': {'budget_id': name('budget')},
        'unlimited': {},
        'soft': {'soft_budget': 2.0, 'max_budget': 3.0, 'duration': '7d'},
        'tiny': {'max_budget': 0.0008},
        'viewer': {'user_id': name('viewer')},
    }.items():
        answer = post('/key/generate', {'key_alias': name(key), **body})
        if not answer:
            raise RuntimeError('the key %s was not made: %s' % (key, refused['/key/generate']))
        keys[key] = answer['key']
    return keys, refused
