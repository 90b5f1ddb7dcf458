// One of those that may lead: it judges what all agents publish, and serves nobody.
