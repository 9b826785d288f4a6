# What SpamAssassin's installed rules say of messages: loaded once, without network and without memory.
#
#   perl spamassassin.pl FOLDER   FOLDER holds site/*.pre and site/*.cf, and gets all that is written
#
# On standard input each message stands behind a line with its length in octets. Printed are, as
# JSON, the rules that are run ("rules"), and for each message those that fired ("fired").
use strict;
use warnings;
use JSON::PP ();
use Mail::SpamAssassin ();

my ($folder) = @ARGV;
my $judge = Mail::SpamAssassin->new({
    local_tests_only     => 1,
    dont_copy_prefs      => 1,
    rules_filename       => '/usr/share/spamassassin',    # the package's own, not what sa-update brought
    site_rules_filename  => "$folder/site",
    LOCAL_STATE_DIR      => "$folder/state",
    userprefs_filename   => "$folder/user_prefs",
    userstate_dir        => $folder,
    home_dir_for_helpers => $folder,
});
$judge->init(1);

# before the first message is judged: the tables are emptied once they have been compiled
my $scores = $judge->{conf}{scores};
my @rules  = sort grep { !/^__/ && $scores->{$_} } rules_of($judge->{conf});

binmode STDIN;
my @fired;
while (defined(my $length = <STDIN>)) {
    read(STDIN, my $content, $length) == $length or die "a message was cut short\n";
    my $mail   = $judge->parse($content, 1);
    my $status = $judge->check($mail);
    push @fired, [grep { /./ } split /,/, $status->get_names_of_tests_hit()];
    $status->finish();
    $mail->finish();
}
print JSON::PP->new->canonical->encode({ rules => \@rules, fired => \@fired });
$judge->finish();

# The names of all rules, from the tables that the reader of the rule files has filled.
sub rules_of {
    my ($conf) = @_;
    my %found;
    for my $table (grep { /_(?:tests|evals)$/ && ref $conf->{$_} eq 'HASH' } keys %$conf) {
        for my $key (keys %{ $conf->{$table} }) {
            my $inner = $conf->{$table}{$key};
            my @names = $key =~ /^-?\d+$/ && ref $inner eq 'HASH' ? keys %$inner : ($key);
            $found{$_} = 1 for @names;
        }
    }
    return keys %found;
}
