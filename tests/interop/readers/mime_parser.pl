# What Perl's MIME::Parser finds in a message: one base64 line in, one line of JSON out.
use v5.20;
use warnings;

use Digest::SHA qw(sha256_hex);
use Email::Address::XS;
use Encode qw(decode);
use JSON::PP;
use Mail::Address;
use MIME::Base64 qw(decode_base64);
use MIME::Parser;
use MIME::WordDecoder;

my $json = JSON::PP->new->utf8->canonical;
my $parser = MIME::Parser->new;
$parser->output_to_core(1);
$parser->tmp_to_core(1);
$parser->extract_nested_messages(0);
$| = 1;

sub unfolded {
    my ($head, $name) = @_;
    my $value = $head->get($name, 0) // return undef;
    $value =~ s/\r?\n(?=[ \t])//g;
    $value =~ s/\r?\n\z//;
    return $value;
}

sub words { my ($phrase) = @_; return length $phrase ? mime_to_perl_string($phrase) : undef }

sub unquoted { my ($text) = @_; $text =~ s/\\(.)/$1/gs if $text =~ s/\A"(.*)"\z/$1/s; return $text }

# "john doe"@x and john doe@x are the same local part: the quotes are no part of it
sub halves {
    my ($local, $domain) = $_[0] =~ /\A(.*)@(.*)\z/s or return ($_[0], undef);
    return (decode('utf8', unquoted($local)), $domain);
}

# Mail::Address, of the mail tools that MIME::Parser stands on, knows no groups:
# a field with a group is read by Email::Address::XS
sub entries {
    my ($head, $name) = @_;
    my $value = unfolded($head, $name) // return [];
    my @groups = Email::Address::XS::parse_email_groups($value);
    my $has_group = grep { defined $groups[2 * $_] } 0 .. $#groups / 2;
    return [map { [words(unquoted($_->phrase)), halves($_->address)] } Mail::Address->parse($value)] unless $has_group;
    my @found;
    while (my ($group, $members) = splice @groups, 0, 2) {
        my @mailboxes = map { [words($_->phrase), decode('utf8', $_->user), $_->host] } @$members;
        push @found, defined $group ? [words($group), \@mailboxes] : @mailboxes;
    }
    return \@found;
}

sub leaves {
    my ($part) = @_;
    return $part->is_multipart ? map { leaves($_) } $part->parts : $part;
}

sub octets { my ($part) = @_; return $part->bodyhandle ? $part->bodyhandle->as_string : '' }

sub disposition { my ($part) = @_; return $part->head->mime_attr('content-disposition') || undef }

sub file {
    my ($part) = @_;
    my ($content_id) = ($part->head->get('Content-ID') // '') =~ m{<(.*)>};
    return {
        name        => scalar $part->head->recommended_filename,
        type        => $part->mime_type,
        disposition => disposition($part),
        content_id  => $content_id,
        sha256      => sha256_hex(octets($part)),
    };
}

while (my $line = <STDIN>) {
    my $mail = $parser->parse_data(decode_base64($line));
    my $head = $mail->head;
    my %text = (plain => '', html => '', calendar => '');
    my @files;
    for my $part (leaves($mail)) {
        my $is_file = disposition($part);
        my ($kind) = $is_file ? () : $part->mime_type =~ m{^text/(plain|html|calendar)$};
        defined $kind ? $text{$kind} .= decode('utf8', octets($part)) : push @files, file($part);
    }
    print $json->encode({
        subject    => mime_to_perl_string(unfolded($head, 'Subject') // ''),
        (map { (lc(tr/-/_/r) => entries($head, $_)) } qw(From Sender Reply-To To Cc)),
        message_id => unfolded($head, 'Message-ID') // '',
        references => [split ' ', unfolded($head, 'References') // ''],
        text       => $text{plain},
        html       => $text{html},
        calendar   => $text{calendar},
        files      => \@files,
    }), "\n";
}
